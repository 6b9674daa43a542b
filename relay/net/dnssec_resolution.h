// One question answered with signatures checked by us (RFC 4033 §5, RFC 4035 §5): a pure step
// machine that asks for packets and gives a result that is secure, insecure (shown to be so) or,
// when signatures should be good and are not, a failure "dnssec-bogus: …".
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "relay/net/dns_exchange.h"
#include "relay/net/dns_message.h"
#include "relay/net/dnssec_chain.h"
#include "relay/net/dnssec_records.h"
#include "relay/net/dnssec_walk.h"

namespace relay::net {

class DnssecResolution {
 public:
  using Step = std::variant<DnsAsk, DnsResult>;

  /// name: askable, lower case. anchors and zones outlive the resolution.
  DnssecResolution(const DnssecAnchors& anchors, DnssecZones& zones, std::string name,
                   DnsType type);

  Step start();
  /// The response to what the last step asked.
  Step on_packet(std::vector<std::uint8_t> packet, DnssecTime now);
  /// There is none.
  Step on_failure(const DnsFailure& failure);

 private:
  enum class Subject { records, alias, redirection, absence };

  Step ask(DnsAsk question);
  Step on_answer(std::vector<std::uint8_t> packet, DnssecTime now);
  void choose_subject();
  void choose_absence();
  Step go_on(DnssecWalk::Step step, DnssecTime now);
  Step judge(const ZoneKeys& keys, DnssecTime now);
  Step judge_records(const ZoneKeys& keys, DnssecTime now);
  Step judge_absence(const ZoneKeys& keys, DnssecTime now);
  Step accept(DnssecState state);
  Step accept_absence(bool name_exists, DnssecState state);
  Step follow(DnssecState state);
  Step report(DnssecState state);
  static Step bogus(const std::string& reason);

  const DnssecAnchors& anchors_;
  DnssecZones& zones_;
  std::string name_;
  DnsType type_;
  DnssecState dnssec_ = DnssecState::secure;  // of the aliases followed so far
  std::chrono::seconds ttl_{0x7fffffff};
  int aliases_ = 0;
  int asked_ = 0;
  DnsAsk last_{};

  // The response that is being judged, while the walk goes to the zone that must vouch for it.
  std::vector<std::uint8_t> packet_;
  std::optional<DnssecMessage> message_;
  Subject subject_ = Subject::records;
  RecordSet set_;                      // records, alias, redirection: what must be signed
  std::optional<std::string> signer_;  // who says to have signed it
  std::optional<DnssecWalk> walk_;
};

}  // namespace relay::net
