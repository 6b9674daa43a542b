// A scripted name server on loopback, UDP and TCP on one port, on the loop of the client it serves.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/net/dns_message.h"
#include "relay/net/event_loop.h"
#include "relay/net/socket_address.h"

namespace support {

enum class DnsTransport { udp, tcp };

/// What becomes of an answer over TCP.
enum class DnsStream {
  whole,
  half,     ///< the first half arrives, then nothing
  hang_up,  ///< the connection is closed instead
  refused,  ///< nobody listens
};

struct DnsAsked {
  relay::net::DnsQuestion question;
  DnsTransport transport;
  std::uint16_t source_port;
};

class DnsResponder {
 public:
  /// Packets to send back in this order; none: silence.
  using Script = std::function<std::vector<std::string>(const DnsAsked&)>;

  DnsResponder(relay::net::EventLoop& loop, Script script);
  ~DnsResponder();
  DnsResponder(const DnsResponder&) = delete;
  DnsResponder& operator=(const DnsResponder&) = delete;

  [[nodiscard]] relay::net::SocketAddress address() const;
  /// Every question so far.
  [[nodiscard]] const std::vector<DnsAsked>& asked() const;
  void set_script(Script script);
  void set_stream(DnsStream stream);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace support
