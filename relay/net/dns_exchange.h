// One question put to one resolver: a datagram from a socket of its own, and TCP where a datagram
// is not enough (RFC 5452, RFC 7766).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "relay/net/dns_message.h"
#include "relay/net/event_loop.h"
#include "relay/net/socket_address.h"

namespace relay::net {

struct DnsResolver {
  SocketAddress address;
  AdTrust trust = AdTrust::ignored;
};

/// The resolver said nothing in time.
struct DnsSilence {};
/// The resolver cannot be reached or cannot be understood.
struct DnsUnreachable {
  std::string reason;
};
using DnsReply =
    std::variant<DnsAnswer, DnsNoRecord, DnsAlias, DnsRaw, DnsFailure, DnsSilence, DnsUnreachable>;

/// What to ask a resolver.
struct DnsAsk {
  std::string name;  ///< askable
  DnsType type;
  DnsChecking checking = DnsChecking::by_resolver;
};

class DnsExchange {
 public:
  using Callback = std::function<void(DnsReply)>;

  /// Asks at once. done is called once, from the loop, and may destroy the
  /// exchange; timeout holds for each of UDP and TCP.
  DnsExchange(EventLoop& loop, const DnsResolver& resolver, const DnsAsk& ask,
              std::chrono::milliseconds timeout, Callback done);
  ~DnsExchange();
  DnsExchange(const DnsExchange&) = delete;
  DnsExchange& operator=(const DnsExchange&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace relay::net
