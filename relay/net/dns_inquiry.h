// One question put to the resolvers in turn until one answers it.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <variant>
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

class DnsInquiry {
 public:
  using Reply = std::variant<DnsAnswer, DnsNoRecord, DnsAlias, DnsRaw, DnsFailure>;
  using Callback = std::function<void(Reply)>;

  /// Asks at once. rules outlives the inquiry. done is called once, from the loop, and may destroy
  /// the inquiry.
  DnsInquiry(EventLoop& loop, const DnsLookupRules& rules, DnsAsk question, Callback done);

 private:
  void ask();
  void on_reply(DnsReply reply);
  void ask_next();
  void finish(Reply reply);

  EventLoop& loop_;
  const DnsLookupRules& rules_;
  DnsAsk question_;
  Callback done_;
  std::size_t resolver_ = 0;
  int round_ = 0;
  int silences_ = 0;
  bool silent_in_round_ = false;
  std::string refusal_;      // the last resolver's reason, if any gave one
  std::string unreachable_;  // likewise for what kept us from hearing one
  std::unique_ptr<DnsExchange> exchange_;
};

}  // namespace relay::net
