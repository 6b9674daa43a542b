#include "relay/net/dnssec_lookup.h"

#include <utility>
#include <variant>

namespace relay::net {
namespace {

/// A chain of trust has several questions; together they may take as long as this many of them.
constexpr int kPatience = 3;

std::chrono::milliseconds whole_time(const DnsLookupRules& rules) {
  return kPatience * rules.rounds * static_cast<int>(rules.resolvers.size()) * rules.try_timeout;
}

std::shared_ptr<const DnssecAnchors> or_none(std::shared_ptr<const DnssecAnchors> anchors) {
  return anchors ? std::move(anchors) : std::make_shared<const DnssecAnchors>();
}

}  // namespace

DnssecTrust::DnssecTrust(EventLoop& event_loop, const Clock& a_clock, const DnsLookupRules& a_rules,
                         std::shared_ptr<const DnssecAnchors> trusted, std::size_t zone_capacity)
    : loop(event_loop),
      clock(a_clock),
      rules(a_rules),
      anchors(or_none(std::move(trusted))),
      zones(zone_capacity) {}

DnssecLookup::DnssecLookup(DnssecTrust& trust, std::string name, DnsType type, Callback done)
    : trust_(trust),
      resolution_(*trust.anchors, trust.zones, std::move(name), type),
      done_(std::move(done)),
      deadline_(trust.loop, [this] { finish(DnsFailure{"timeout of the chain of trust"}); }) {
  deadline_.start(whole_time(trust.rules));
  take(resolution_.start());
}

void DnssecLookup::take(DnssecResolution::Step step) {
  if (auto* question = std::get_if<DnsAsk>(&step)) {
    inquiry_ = std::make_unique<DnsInquiry>(
        trust_.loop, trust_.rules, std::move(*question),
        [this](DnsInquiry::Reply reply) { on_reply(std::move(reply)); });
  } else {
    finish(std::get<DnsResult>(std::move(step)));
  }
}

void DnssecLookup::on_reply(DnsInquiry::Reply reply) {
  if (auto* raw = std::get_if<DnsRaw>(&reply)) {
    take(resolution_.on_packet(std::move(raw->packet),
                               {trust_.clock.wall(), trust_.clock.steady()}));
  } else if (const auto* failure = std::get_if<DnsFailure>(&reply)) {
    take(resolution_.on_failure(*failure));
  } else {
    take(resolution_.on_failure({"malformed answer"}));
  }
}

void DnssecLookup::finish(DnsResult result) {
  inquiry_.reset();
  deadline_.stop();
  const auto done = std::move(done_);
  done(std::move(result));  // may destroy this
}

}  // namespace relay::net
