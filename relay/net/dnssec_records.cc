#include "relay/net/dnssec_records.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <new>
#include <utility>

#include <fmt/format.h>

namespace relay::net {
namespace {

// Sets and signatures beyond these are no honest answer's.
constexpr std::size_t kMaxSets = 32;
constexpr std::size_t kMaxRecords = 256;
constexpr std::size_t kSignatureFields = 9;
constexpr std::size_t kKeyFields = 4;

unsigned octet(const ldns_rr& rr, std::size_t field) {
  const ByteSpan raw = rdata_field(rr, field);
  return raw.size() == 1 ? raw[0] : 256U;
}

/// RRSIG as RFC 4034 §3.1 has it.
struct Signature {
  explicit Signature(const ldns_rr& rr)
      : algorithm(octet(rr, 1)),
        labels(octet(rr, 2)),
        original_ttl(read32(rdata_field(rr, 3), 0)),
        expiration(read32(rdata_field(rr, 4), 0)),
        key_tag(read16(rdata_field(rr, 6), 0)) {}
  unsigned algorithm, labels;
  std::uint32_t original_ttl, expiration;
  std::uint16_t key_tag;
};

bool is_complete_signature(const ldns_rr& rr) {
  constexpr std::array<std::size_t, kSignatureFields - 2> kSizes{2, 1, 1, 4, 4, 4, 2};
  if (ldns_rr_get_type(&rr) != LDNS_RR_TYPE_RRSIG || ldns_rr_rd_count(&rr) != kSignatureFields) {
    return false;
  }
  for (std::size_t i = 0; i < kSizes.size(); ++i) {
    if (rdata_field(rr, i).size() != kSizes.at(i)) {
      return false;
    }
  }
  return ldns_rdf_get_type(ldns_rr_rdf(&rr, 7)) == LDNS_RDF_TYPE_DNAME;
}

ldns_rr_type covered_type(const ldns_rr& signature) {
  return static_cast<ldns_rr_type>(read16(rdata_field(signature, 0), 0));
}

RecordSet& set_of(std::vector<RecordSet>& sets, const ldns_rdf* owner) {
  const auto found = std::ranges::find_if(
      sets, [owner](const RecordSet& set) { return ldns_dname_compare(set.owner, owner) == 0; });
  return found != sets.end() ? *found : sets.emplace_back(RecordSet{owner, {}, {}});
}

std::vector<RecordSet> sets_in(const ldns_rr_list* section, ldns_rr_type type) {
  std::vector<RecordSet> sets;
  const std::size_t count = std::min(ldns_rr_list_rr_count(section), kMaxRecords);
  for (std::size_t i = 0; i < count && sets.size() <= kMaxSets; ++i) {
    ldns_rr* rr = ldns_rr_list_rr(section, i);
    const ldns_rdf* owner = ldns_rr_owner(rr);
    if (owner == nullptr || ldns_rr_get_class(rr) != LDNS_RR_CLASS_IN) {
      continue;
    }
    if (ldns_rr_get_type(rr) == type) {
      set_of(sets, owner).records.push_back(rr);
    } else if (is_complete_signature(*rr) && covered_type(*rr) == type) {
      set_of(sets, owner).signatures.push_back(rr);
    }
  }
  std::erase_if(sets, [](const RecordSet& set) { return set.records.empty(); });
  return sets;
}

std::string reason_of(ldns_status status, const std::string& zone) {
  if (status == LDNS_STATUS_CRYPTO_SIG_EXPIRED) {
    return fmt::format("signature by {} has expired", zone);
  }
  if (status == LDNS_STATUS_CRYPTO_SIG_NOT_INCEPTED) {
    return fmt::format("signature by {} is not yet valid", zone);
  }
  return fmt::format("signature by {} is wrong", zone);
}

std::chrono::seconds good_for(const RecordSet& set, const Signature& signature, WallTime now) {
  using std::chrono::seconds;
  // RFC 4034 §3.1.5: serial number arithmetic; a checked signature has not expired.
  const auto clock =
      static_cast<std::uint32_t>(std::chrono::floor<seconds>(now).time_since_epoch().count());
  seconds ttl = std::min(seconds(signature.original_ttl), seconds(signature.expiration - clock));
  for (const ldns_rr* rr : set.records) {
    ttl = std::min(ttl, ttl_of(*rr));
  }
  return ttl;
}

bool may_have_made(const ldns_rr& key, const Signature& signature) {
  return octet(key, 2) == signature.algorithm && ldns_calc_keytag(&key) == signature.key_tag;
}

RecordListHandle list_of(const std::vector<ldns_rr*>& records) {
  RecordListHandle list(ldns_rr_list_new());
  for (ldns_rr* rr : records) {
    if (!list || !ldns_rr_list_push_rr(list.get(), rr)) {
      throw std::bad_alloc();
    }
  }
  return list;
}

}  // namespace

bool is_in(std::string_view name, std::string_view zone) {
  if (zone == kRootName || name == zone) {
    return true;
  }
  return name.size() > zone.size() && name.ends_with(zone) &&
         name[name.size() - zone.size() - 1] == '.';
}

std::string parent_of(std::string_view name) {
  const std::size_t dot = name.find('.');
  return std::string(dot == std::string_view::npos ? kRootName : name.substr(dot + 1));
}

std::string child_towards(std::string_view above, std::string_view name) {
  const std::size_t rest = above == kRootName ? 0 : above.size() + 1;
  const std::string_view below = name.substr(0, name.size() - rest);
  const std::size_t dot = below.rfind('.');
  return std::string(dot == std::string_view::npos ? name : name.substr(dot + 1));
}

unsigned label_count(std::string_view name) {
  if (name == kRootName || name == "*") {
    return 0;
  }
  const auto labels = static_cast<unsigned>(std::ranges::count(name, '.')) + 1;
  return name.starts_with("*.") ? labels - 1 : labels;
}

unsigned label_count(const ldns_rdf* name) {
  const unsigned labels = ldns_dname_label_count(name);
  return ldns_dname_is_wildcard(name) != 0 ? labels - 1 : labels;
}

NameHandle make_name(std::string_view name) {
  const auto wire = name_to_wire(name).value_or(std::vector<std::uint8_t>{0});
  NameHandle made(ldns_dname_new_frm_data(static_cast<std::uint16_t>(wire.size()), wire.data()));
  if (!made) {
    throw std::bad_alloc();
  }
  return made;
}

std::optional<std::string> name_of(const ldns_rdf* name) {
  if (name == nullptr || ldns_rdf_get_type(name) != LDNS_RDF_TYPE_DNAME) {
    return std::nullopt;
  }
  auto text = name_to_text({ldns_rdf_data(name), ldns_rdf_size(name)});
  if (text && text->empty()) {
    return std::string(kRootName);
  }
  return text;
}

bool is_zone_key(const ldns_rr& key) {
  constexpr unsigned kZone = 0x0100;
  constexpr unsigned kRevoked = 0x0080;
  const ByteSpan flags = rdata_field(key, 0);
  return ldns_rr_get_type(&key) == LDNS_RR_TYPE_DNSKEY && ldns_rr_rd_count(&key) == kKeyFields &&
         flags.size() == 2 && (read16(flags, 0) & (kZone | kRevoked)) == kZone &&
         octet(key, 1) == 3 && is_supported_algorithm(octet(key, 2));
}

bool is_supported_algorithm(unsigned algorithm) {
  constexpr std::array<unsigned, 8> kSupported{
      LDNS_RSASHA1,         LDNS_RSASHA1_NSEC3,   LDNS_RSASHA256, LDNS_RSASHA512,
      LDNS_ECDSAP256SHA256, LDNS_ECDSAP384SHA384, LDNS_ED25519,   LDNS_ED448};
  return std::ranges::find(kSupported, algorithm) != kSupported.end();
}

ZoneKeys::ZoneKeys(std::string zone, const std::vector<const ldns_rr*>& records)
    : zone_(std::move(zone)) {
  for (const ldns_rr* record : records) {
    if (is_zone_key(*record)) {
      keys_.emplace_back(ldns_rr_clone(record));
    }
  }
}

std::optional<DnssecMessage> DnssecMessage::parse(ByteSpan packet) {
  ldns_pkt* parsed = nullptr;
  if (ldns_wire2pkt(&parsed, packet.data(), packet.size()) != LDNS_STATUS_OK) {
    return std::nullopt;
  }
  return DnssecMessage(parsed);
}

bool DnssecMessage::says_no_such_name() const {
  return ldns_pkt_get_rcode(packet_.get()) == LDNS_RCODE_NXDOMAIN;
}

RecordSet DnssecMessage::answer(std::string_view name, ldns_rr_type type) const {
  const NameHandle owner = make_name(name);
  for (RecordSet& set : answers(type)) {
    if (ldns_dname_compare(set.owner, owner.get()) == 0) {
      return std::move(set);
    }
  }
  return {};
}

std::vector<RecordSet> DnssecMessage::answers(ldns_rr_type type) const {
  return sets_in(ldns_pkt_answer(packet_.get()), type);
}

std::vector<RecordSet> DnssecMessage::authorities(ldns_rr_type type) const {
  return sets_in(ldns_pkt_authority(packet_.get()), type);
}

std::optional<std::string> signer_of(const RecordSet& set) {
  for (const ldns_rr* signature : set.signatures) {
    const ldns_rdf* signer = ldns_rr_rdf(signature, 7);
    auto zone = name_of(signer);
    if (zone && (*zone == kRootName || ldns_dname_compare(set.owner, signer) == 0 ||
                 ldns_dname_is_subdomain(set.owner, signer))) {
      return zone;
    }
  }
  return std::nullopt;
}

Expected<SignedBy, std::string> check_signatures(const RecordSet& set, const ZoneKeys& keys,
                                                 WallTime now, DnssecBudget& budget) {
  const NameHandle zone = make_name(keys.zone());
  const RecordListHandle records = list_of(set.records);
  const auto clock = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch();
  std::string reason = fmt::format("no signature by {}", keys.zone());
  for (ldns_rr* rr : set.signatures) {
    const Signature signature(*rr);
    if (ldns_dname_compare(ldns_rr_rdf(rr, 7), zone.get()) != 0 ||
        signature.labels > label_count(set.owner)) {
      continue;
    }
    for (const RecordHandle& key : keys.keys()) {
      if (!may_have_made(*key, signature)) {
        continue;
      }
      if (!budget.spend()) {
        return Unexpected<std::string>("too many signatures");
      }
      const ldns_status status =
          ldns_verify_rrsig_time(records.get(), rr, key.get(), time_t{clock.count()});
      if (status == LDNS_STATUS_OK) {
        return SignedBy{signature.labels, good_for(set, signature, now)};
      }
      reason = reason_of(status, keys.zone());
    }
  }
  return Unexpected<std::string>(std::move(reason));
}

}  // namespace relay::net
