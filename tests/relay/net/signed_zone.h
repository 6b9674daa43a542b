// Zones signed in memory, and a resolver that answers from them as one with CD set would.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <ldns/ldns.h>

#include "relay/net/clock.h"
#include "relay/net/dns_exchange.h"
#include "relay/net/dns_message.h"
#include "relay/net/dnssec_records.h"

namespace support {

struct ZoneOptions {
  enum class Denial { nsec, nsec3, opt_out };
  enum class Signing { yes, no };
  Signing signing = Signing::yes;
  Denial denial = Denial::nsec;
  unsigned iterations = 0;  ///< of NSEC3
  ldns_signing_algorithm algorithm = LDNS_SIGN_ECDSAP256SHA256;
  /// Of the signatures; the default suits ManualClock.
  std::chrono::sys_days valid_from{std::chrono::year{2024} / 6 / 1};
  std::chrono::sys_days valid_until{std::chrono::year{2024} / 8 / 1};
};

using Records = std::vector<std::shared_ptr<ldns_rr>>;

class SignedZone {
 public:
  /// lines: records in presentation form with absolute names; SOA and keys are added.
  SignedZone(std::string name, const std::vector<std::string>& lines,
             const ZoneOptions& options = {});

  [[nodiscard]] const std::string& name() const { return name_; }
  /// DS records in presentation form, for the parent or as an anchor.
  [[nodiscard]] std::string ds(ldns_hash digest = LDNS_SHA256) const;
  [[nodiscard]] std::string dnskey() const;
  /// The records with their signatures; empty when there are none.
  [[nodiscard]] Records find(const std::string& owner, ldns_rr_type type) const;
  [[nodiscard]] bool has(const std::string& owner) const;
  /// The SOA and all NSEC or NSEC3 records with their signatures.
  [[nodiscard]] Records proofs() const;

 private:
  struct FreeKeys {
    void operator()(ldns_key_list* keys) const { ldns_key_list_free(keys); }
  };
  struct Set {
    Records records, signatures;
  };

  void make_key(const ZoneOptions& options);
  void add(const std::string& line);
  void add_nsec();
  void add_nsec3(const ZoneOptions& options);
  void sign();
  [[nodiscard]] bool is_cut(const std::string& owner) const;
  [[nodiscard]] bool is_glue(const std::string& owner) const;
  [[nodiscard]] std::string types_at(const std::string& owner) const;

  std::string name_;
  std::unique_ptr<ldns_key_list, FreeKeys> keys_;
  std::shared_ptr<ldns_rr> dnskey_;
  std::map<std::string, std::map<ldns_rr_type, Set>> sets_;
};

/// Answers from the zone that a name belongs to.
class SignedWorld {
 public:
  /// Changes a response before it is sent.
  using Tamper = std::function<void(const relay::net::DnsAsk&, ldns_pkt&)>;

  void add(SignedZone zone);
  [[nodiscard]] const SignedZone& zone(const std::string& name) const { return zones_.at(name); }
  [[nodiscard]] std::vector<std::uint8_t> respond(const relay::net::DnsAsk& ask,
                                                  const Tamper& tamper = {},
                                                  std::uint16_t id = 1) const;

 private:
  [[nodiscard]] const SignedZone& zone_for(const relay::net::DnsAsk& ask) const;

  std::map<std::string, SignedZone> zones_;
};

/// Removes records of a type, and the signatures over them, from a section.
void strip(ldns_rr_list* section, ldns_rr_type type);
/// Removes the signatures over records of a type.
void strip_signatures(ldns_rr_list* section, ldns_rr_type type);
/// Changes an octet in each signature over records of the type.
void spoil_signatures(ldns_rr_list* section, ldns_rr_type type);

}  // namespace support
