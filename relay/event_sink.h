// Where a batch of event lines goes: a UNIX stream socket, or an HTTPS server. Threading: one loop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "relay/net/dns_client.h"
#include "relay/net/event_loop.h"
#include "relay/net/expected.h"
#include "relay/net/https_client.h"

namespace relay {

class EventSink {
 public:
  /// fault: why it did not arrive; empty: it did. Never called before send() returned.
  using Done = std::function<void(const std::string& fault)>;

  EventSink() = default;
  EventSink(const EventSink&) = delete;
  EventSink& operator=(const EventSink&) = delete;
  virtual ~EventSink() = default;
  /// One at a time.
  virtual void send(std::string lines, Done done) = 0;
};

/// Connects when there is something to send and keeps the connection. What the kernel took counts
/// as handed over.
[[nodiscard]] std::unique_ptr<EventSink> socket_sink(net::EventLoop& loop, std::string path);

struct WebSinkOptions {
  std::string url;    ///< https
  std::string token;  ///< bearer token; empty: none. Never logged.
  net::DnsClientOptions dns;
  net::HttpsClientOptions https;
};

/// A POST per batch; any status of class 2xx means that it arrived. The error is a sentence.
[[nodiscard]] Expected<std::unique_ptr<EventSink>, std::string> web_sink(net::EventLoop& loop,
                                                                         const net::Clock& clock,
                                                                         WebSinkOptions options);

}  // namespace relay
