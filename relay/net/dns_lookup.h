// One question put to the resolvers in turn until one knows the answer, followed across CNAMEs
// that leave a packet.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "relay/net/dns_exchange.h"
#include "relay/net/dns_message.h"
#include "relay/net/event_loop.h"

namespace relay::net {

struct DnsLookupRules {
  std::vector<DnsResolver> resolvers;  ///< asked in order; not empty
  std::chrono::milliseconds try_timeout{};
  int rounds = 1;  ///< times through the list, as long as somebody stays silent
};

class DnsLookup {
 public:
  using Callback = std::function<void(DnsResult)>;

  /// Asks at once. name: askable. rules outlives the lookup. done is called once, from the loop,
  /// and may destroy the lookup.
  DnsLookup(EventLoop& loop, const DnsLookupRules& rules, std::string name, DnsType type,
            Callback done);

 private:
  void ask();
  void on_reply(DnsReply reply);
  void ask_next();
  void follow(DnsAlias alias);
  template <class Outcome>
  void finish(Outcome outcome);

  EventLoop& loop_;
  const DnsLookupRules& rules_;
  std::string name_;
  DnsType type_;
  Callback done_;
  std::size_t resolver_ = 0;
  int round_ = 0;
  int silences_ = 0;
  bool silent_in_round_ = false;
  std::string refusal_;      // the last resolver's reason, if any gave one
  std::string unreachable_;  // likewise for what kept us from hearing one
  int aliases_ = 0;
  std::chrono::seconds ttl_;
  DnssecState dnssec_ = DnssecState::secure;  // of the aliases followed so far
  std::unique_ptr<DnsExchange> exchange_;
};

}  // namespace relay::net
