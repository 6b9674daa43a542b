// One question put to the resolvers with the signatures checked by us: asks for the packets that a
// DnssecResolution wants, within the time that the rules allow. What all lookups of a client share
// is in DnssecTrust. Belongs to one event loop.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "relay/net/clock.h"
#include "relay/net/dns_inquiry.h"
#include "relay/net/dns_message.h"
#include "relay/net/dnssec_chain.h"
#include "relay/net/dnssec_resolution.h"
#include "relay/net/dnssec_walk.h"
#include "relay/net/event_loop.h"

namespace relay::net {

struct DnssecTrust {
  /// rules and the loop outlive it; null anchors: none.
  DnssecTrust(EventLoop& event_loop, const Clock& a_clock, const DnsLookupRules& a_rules,
              std::shared_ptr<const DnssecAnchors> trusted, std::size_t zone_capacity);

  EventLoop& loop;
  const Clock& clock;
  const DnsLookupRules& rules;
  std::shared_ptr<const DnssecAnchors> anchors;
  DnssecZones zones;
};

class DnssecLookup {
 public:
  using Callback = std::function<void(DnsResult)>;

  /// Asks at once. name: askable, lower case. trust outlives the lookup. done is called once, from
  /// the loop, and may destroy the lookup.
  DnssecLookup(DnssecTrust& trust, std::string name, DnsType type, Callback done);

 private:
  void take(DnssecResolution::Step step);
  void on_reply(DnsInquiry::Reply reply);
  void finish(DnsResult result);

  DnssecTrust& trust_;
  DnssecResolution resolution_;
  Callback done_;
  Timer deadline_;
  std::unique_ptr<DnsInquiry> inquiry_;
};

}  // namespace relay::net
