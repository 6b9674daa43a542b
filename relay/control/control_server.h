// Answers requests on the control socket. Several clients at once; each has one request in
// execution and at most one response on its way, and is cut off when it stalls.
// Threading: one event loop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "relay/control/control_protocol.h"
#include "relay/net/event_loop.h"
#include "relay/net/listener.h"

namespace relay::control {

struct ControlServerOptions {
  std::size_t clients = 64;  ///< more are turned away with an error
  /// A client that neither asks nor takes its answer for this long is cut off.
  std::chrono::milliseconds patience{std::chrono::minutes(1)};
};

class ControlServer {
 public:
  /// Calls respond exactly once, from the loop, within the call or later; after the client has
  /// gone that does nothing.
  using Handler = std::function<void(const Request&, std::function<void(Response)> respond)>;

  /// socket: from ListeningSocket::bind_unix with mode 0600.
  ControlServer(net::EventLoop& loop, std::shared_ptr<net::ListeningSocket> socket, Handler handler,
                const ControlServerOptions& options = {});
  /// Cuts all clients off; outstanding responses go nowhere.
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  class Client;
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace relay::control
