#include "relay/net/dnssec_resolution.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <ldns/ldns.h>

#include "relay/net/dns_lookup.h"
#include "relay/net/dnssec_denial.h"

namespace relay::net {
namespace {

/// Packets that one question may cost: a deep name with cold zones needs two for each label.
constexpr int kMaxPackets = 64;

ldns_rr_type to_ldns(DnsType type) {
  return static_cast<ldns_rr_type>(type);
}

/// RFC 6672 §2.3: what a DNAME makes of name.
std::optional<std::string> redirected(const std::string& name, const RecordSet& dname) {
  const auto owner = name_of(dname.owner);
  const auto target = name_of(ldns_rr_rdf(dname.records.front(), 0));
  if (!owner || !target) {
    return std::nullopt;
  }
  const std::string prefix = name.substr(0, name.size() - owner->size());  // with its dot
  return *target == kRootName ? prefix.substr(0, prefix.size() - 1) : prefix + *target;
}

}  // namespace

DnssecResolution::DnssecResolution(const DnssecAnchors& anchors, DnssecZones& zones,
                                   std::string name, DnsType type)
    : anchors_(anchors), zones_(zones), name_(std::move(name)), type_(type) {}

DnssecResolution::Step DnssecResolution::start() {
  return ask({name_, type_, DnsChecking::by_us});
}

DnssecResolution::Step DnssecResolution::on_packet(std::vector<std::uint8_t> packet,
                                                   DnssecTime now) {
  if (!walk_) {
    return on_answer(std::move(packet), now);
  }
  const auto message = DnssecMessage::parse(packet);
  if (!message) {
    return on_failure({"malformed answer"});
  }
  return go_on(walk_->on_message(*message, now), now);
}

DnssecResolution::Step DnssecResolution::on_failure(const DnsFailure& failure) {
  if (!walk_) {
    return DnsResult(failure);
  }
  const char* type = last_.type == DnsType::ds ? "DS" : "DNSKEY";
  return DnsResult(DnsFailure{fmt::format("{} of {}: {}", type, last_.name, failure.reason)});
}

DnssecResolution::Step DnssecResolution::ask(DnsAsk question) {
  if (++asked_ > kMaxPackets) {
    return bogus("the chain of trust is too long");
  }
  last_ = question;
  return question;
}

DnssecResolution::Step DnssecResolution::on_answer(std::vector<std::uint8_t> packet,
                                                   DnssecTime now) {
  packet_ = std::move(packet);
  message_ = DnssecMessage::parse(packet_);
  if (!message_) {
    return on_failure({"malformed answer"});
  }
  choose_subject();
  // Without a signature the way to the name itself must show that none is due.
  walk_.emplace(anchors_, zones_, signer_.value_or(name_));
  return go_on(walk_->start(now), now);
}

void DnssecResolution::choose_subject() {
  const auto choose = [this](Subject subject, RecordSet set) {
    subject_ = subject;
    set_ = std::move(set);
    signer_ = signer_of(set_);
  };
  if (auto records = message_->answer(name_, to_ldns(type_)); !records.records.empty()) {
    return choose(Subject::records, std::move(records));
  }
  for (RecordSet& dname : message_->answers(LDNS_RR_TYPE_DNAME)) {
    const auto owner = name_of(dname.owner);
    if (owner && *owner != name_ && *owner != kRootName && is_in(name_, *owner)) {
      return choose(Subject::redirection, std::move(dname));
    }
  }
  if (auto alias = message_->answer(name_, LDNS_RR_TYPE_CNAME); !alias.records.empty()) {
    return choose(Subject::alias, std::move(alias));
  }
  choose_absence();
}

void DnssecResolution::choose_absence() {
  subject_ = Subject::absence;
  set_ = {};
  signer_.reset();
  for (const ldns_rr_type type : {LDNS_RR_TYPE_NSEC, LDNS_RR_TYPE_NSEC3}) {
    for (const RecordSet& proof : message_->authorities(type)) {
      const auto signer = signer_of(proof);
      if (signer && is_in(name_, *signer)) {
        signer_ = signer;
        return;
      }
    }
  }
}

DnssecResolution::Step DnssecResolution::go_on(DnssecWalk::Step step, DnssecTime now) {
  if (auto* question = std::get_if<DnsAsk>(&step)) {
    return ask(std::move(*question));
  }
  const std::string goal = signer_.value_or(name_);
  walk_.reset();
  if (const auto* broken = std::get_if<DnssecWalk::Broken>(&step)) {
    return bogus(broken->reason);
  }
  if (std::holds_alternative<DnssecWalk::Untrusted>(step)) {
    return accept(DnssecState::insecure);
  }
  const auto& keys = *std::get<DnssecWalk::Trusted>(step).keys;
  if (!signer_) {
    return bogus(fmt::format("{} is not signed, its zone {} is", name_, keys.zone()));
  }
  if (keys.zone() != goal) {
    return bogus(fmt::format("{} is signed by {}, which is no zone", name_, goal));
  }
  return judge(keys, now);
}

DnssecResolution::Step DnssecResolution::judge(const ZoneKeys& keys, DnssecTime now) {
  switch (subject_) {
    case Subject::records:
    case Subject::alias:
    case Subject::redirection:
      return judge_records(keys, now);
    case Subject::absence:
      break;
  }
  return judge_absence(keys, now);
}

DnssecResolution::Step DnssecResolution::judge_records(const ZoneKeys& keys, DnssecTime now) {
  DnssecBudget budget;
  const auto good = check_signatures(set_, keys, now.wall, budget);
  if (!good) {
    return bogus(fmt::format("{}: {}", name_, good.error()));
  }
  ttl_ = std::min(ttl_, good->ttl);
  const auto owner = name_of(set_.owner);
  if (owner && good->labels == label_count(*owner)) {
    return accept(DnssecState::secure);
  }
  switch (DenialProofs(*message_, keys, now.wall, budget).of_exact(name_, good->labels)) {
    case Denial::no_name:
      return accept(DnssecState::secure);
    case Denial::opt_out:
    case Denial::excess:
      return accept(DnssecState::insecure);
    case Denial::none:
    case Denial::no_type:
    case Denial::delegation:
      break;
  }
  return bogus(fmt::format("{}: expanded from a wildcard without proof", name_));
}

DnssecResolution::Step DnssecResolution::judge_absence(const ZoneKeys& keys, DnssecTime now) {
  DnssecBudget budget;
  const DenialProofs proofs(*message_, keys, now.wall, budget);
  const Denial denial = proofs.of(name_, to_ldns(type_));
  if (denial != Denial::none) {
    ttl_ = std::min(ttl_, proofs.ttl());
  }
  switch (denial) {
    case Denial::no_name:
      return accept_absence(false, DnssecState::secure);
    case Denial::no_type:
    case Denial::delegation:
      return accept_absence(true, DnssecState::secure);
    case Denial::opt_out:
    case Denial::excess:
      return accept_absence(!message_->says_no_such_name(), DnssecState::insecure);
    case Denial::none:
      break;
  }
  return bogus(fmt::format("{}: {}", name_, proofs.reason()));
}

DnssecResolution::Step DnssecResolution::accept(DnssecState state) {
  switch (subject_) {
    case Subject::alias:
    case Subject::redirection:
      return follow(state);
    case Subject::records:
    case Subject::absence:
      break;
  }
  return report(state);
}

DnssecResolution::Step DnssecResolution::accept_absence(bool name_exists, DnssecState state) {
  Step step = report(state);
  auto* result = std::get_if<DnsResult>(&step);
  if (auto* absent = std::get_if<DnsNoRecord>(result)) {
    absent->name_exists = name_exists;
  }
  return step;
}

DnssecResolution::Step DnssecResolution::follow(DnssecState state) {
  const auto target = subject_ == Subject::redirection
                          ? redirected(name_, set_)
                          : name_of(ldns_rr_rdf(set_.records.front(), 0));
  if (!target || !askable(*target) || *target == kRootName) {
    return DnsResult(DnsFailure{"unusable name in answer"});
  }
  if (++aliases_ > kMaxAliases) {
    return DnsResult(DnsFailure{"CNAME chain too long"});
  }
  for (const ldns_rr* record : set_.records) {
    ttl_ = std::min(ttl_, ttl_of(*record));
  }
  dnssec_ = std::min(dnssec_, state);
  name_ = *target;
  return start();
}

/// The records are read as those of a resolver's answer are.
DnssecResolution::Step DnssecResolution::report(DnssecState state) {
  const DnsDecoded decoded =
      decode_answer(packet_, {read16(packet_, 0), name_, type_}, AdTrust::ignored);
  return std::visit(
      [&](auto value) -> Step {
        using Value = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, DnsAnswer> || std::is_same_v<Value, DnsNoRecord>) {
          value.ttl = std::min(value.ttl, ttl_);
          value.dnssec = std::min(state, dnssec_);
          return DnsResult(std::move(value));
        } else if constexpr (std::is_same_v<Value, DnsFailure>) {
          return DnsResult(std::move(value));
        } else {
          return DnsResult(DnsFailure{"malformed answer"});
        }
      },
      decoded);
}

DnssecResolution::Step DnssecResolution::bogus(const std::string& reason) {
  return DnsResult(DnsFailure{"dnssec-bogus: " + reason});
}

}  // namespace relay::net
