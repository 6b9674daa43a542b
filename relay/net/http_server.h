// A small HTTP server for GET and HEAD: metrics and probes, on a bound socket, over libevent's own.
// Threading: belongs to its event loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "relay/net/event_loop.h"
#include "relay/net/listener.h"

namespace relay::net {

struct HttpAnswer {
  int status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

class HttpServer {
 public:
  /// Called on the loop with the path of each request ("/metrics"), without its query.
  using Handler = std::function<HttpAnswer(const std::string& path)>;

  HttpServer(EventLoop& loop, const ListeningSocket& socket, Handler handler);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace relay::net
