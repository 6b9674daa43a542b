// One question whose signatures the resolver checks, followed across CNAMEs that leave a packet.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "relay/net/dns_inquiry.h"
#include "relay/net/dns_message.h"
#include "relay/net/event_loop.h"

namespace relay::net {

/// CNAMEs followed from one question.
constexpr int kMaxAliases = 8;

class DnsLookup {
 public:
  using Callback = std::function<void(DnsResult)>;

  /// Asks at once. name: askable. rules outlives the lookup. done is called once, from the loop,
  /// and may destroy the lookup.
  DnsLookup(EventLoop& loop, const DnsLookupRules& rules, std::string name, DnsType type,
            Callback done);

 private:
  void ask();
  void on_reply(DnsInquiry::Reply reply);
  void follow(DnsAlias alias);
  template <class Outcome>
  void finish(Outcome outcome);

  EventLoop& loop_;
  const DnsLookupRules& rules_;
  std::string name_;
  DnsType type_;
  Callback done_;
  int aliases_ = 0;
  std::chrono::seconds ttl_;
  DnssecState dnssec_ = DnssecState::secure;  // of the aliases followed so far
  std::unique_ptr<DnsInquiry> inquiry_;
};

}  // namespace relay::net
