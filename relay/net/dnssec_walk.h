// How far trust reaches towards a name: from the anchor above it down, zone cut by zone cut, as a
// pure step machine, and what such walks have found out before (RFC 4035 §4.3, §5).
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <variant>

#include "relay/net/clock.h"
#include "relay/net/dns_exchange.h"
#include "relay/net/dnssec_chain.h"
#include "relay/net/dnssec_records.h"

namespace relay::net {

/// What is known about one name on the way.
struct ZoneTrust {
  enum class Kind {
    secure,    ///< a zone with checked keys begins there
    insecure,  ///< nothing vouches for what is there and below
    no_cut,    ///< in the zone of its parent
    absent,    ///< nothing there and below
  };
  Kind kind = Kind::no_cut;
  std::shared_ptr<const ZoneKeys> keys{};  ///< secure: never null
};

/// Trust by name until its time; the least recently used goes first when full.
class DnssecZones {
 public:
  explicit DnssecZones(std::size_t capacity) : capacity_(capacity) {}
  [[nodiscard]] std::optional<ZoneTrust> find(const std::string& name, SteadyTime now);
  void put(const std::string& name, ZoneTrust trust, std::chrono::seconds ttl, SteadyTime now);

 private:
  struct Entry {
    std::string name;
    ZoneTrust trust;
    SteadyTime until;
  };
  std::size_t capacity_;
  std::list<Entry> entries_;  // most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_name_;
};

struct DnssecTime {
  WallTime wall;      ///< for signatures
  SteadyTime steady;  ///< for what is kept
};

class DnssecWalk {
 public:
  /// Trust reaches the keys of the deepest zone at or above the goal.
  struct Trusted {
    std::shared_ptr<const ZoneKeys> keys;
  };
  /// The goal is in or below a zone that nothing vouches for.
  struct Untrusted {};
  struct Broken {
    std::string reason;
  };
  using Step = std::variant<DnsAsk, Trusted, Untrusted, Broken>;

  /// goal: lower case. anchors and zones outlive the walk.
  DnssecWalk(const DnssecAnchors& anchors, DnssecZones& zones, std::string goal);

  Step start(DnssecTime now);
  /// The response to what the last step asked.
  Step on_message(const DnssecMessage& message, DnssecTime now);

 private:
  Step walk(DnssecTime now);
  Step on_delegation(const DnssecMessage& message, DnssecTime now);
  Step on_keys(const DnssecMessage& message, DnssecTime now);
  Step learn(const ZoneTrust& trust, std::chrono::seconds ttl, DnssecTime now);
  std::optional<Step> enter(const std::string& name, const ZoneTrust& trust);
  Step ask(DnsType type) const;

  const DnssecAnchors& anchors_;
  DnssecZones& zones_;
  std::string goal_;
  std::string reached_;  // the deepest name that is known
  std::string next_;     // the name asked about
  std::shared_ptr<const ZoneKeys> keys_;
  DelegationSigners signers_;  // of next_, while its keys are asked for
  std::chrono::seconds signers_ttl_{0};
};

}  // namespace relay::net
