#include "relay/net/dnssec_chain.h"

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <ldns/ldns.h>

#include "relay/net/dnssec_denial.h"
#include "relay/net/dnssec_records.h"

namespace relay::net {
namespace {

using std::chrono::seconds;
using Signers = std::vector<std::shared_ptr<ldns_rr>>;

// A zone has a handful of either; beyond that somebody wants us to work.
constexpr std::size_t kMaxSigners = 12;
constexpr std::size_t kMaxKeys = 32;

/// DS as RFC 4034 §5.1 has it.
struct Ds {
  explicit Ds(const ldns_rr& rr)
      : key_tag(read16(rdata_field(rr, 0), 0)),
        algorithm(rdata_field(rr, 1)[0]),
        digest_type(rdata_field(rr, 2)[0]),
        digest(rdata_field(rr, 3)) {}
  std::uint16_t key_tag;
  unsigned algorithm, digest_type;
  ByteSpan digest;
};

bool is_complete(const ldns_rr& rr) {
  return ldns_rr_get_type(&rr) == LDNS_RR_TYPE_DS && ldns_rr_rd_count(&rr) == 4 &&
         rdata_field(rr, 0).size() == 2 && rdata_field(rr, 1).size() == 1 &&
         rdata_field(rr, 2).size() == 1;
}

bool is_supported(const ldns_rr& rr) {
  const Ds ds(rr);
  return is_supported_algorithm(ds.algorithm) &&
         (ds.digest_type == LDNS_SHA1 || ds.digest_type == LDNS_SHA256 ||
          ds.digest_type == LDNS_SHA384);
}

std::shared_ptr<ldns_rr> share(ldns_rr* rr) {
  return {rr, &ldns_rr_free};
}

/// The DS records to go by: supported ones, and with SHA-1 only where nothing better is there
/// (RFC 4509 §3).
DelegationSigners usable_signers(const std::vector<ldns_rr*>& records) {
  Signers signers;
  for (const ldns_rr* rr : records) {
    if (is_complete(*rr) && is_supported(*rr) && signers.size() < kMaxSigners) {
      signers.push_back(share(ldns_rr_clone(rr)));
    }
  }
  const auto is_weak = [](const auto& rr) { return Ds(*rr).digest_type == LDNS_SHA1; };
  if (!std::ranges::all_of(signers, is_weak)) {
    std::erase_if(signers, is_weak);
  }
  return std::make_shared<const Signers>(std::move(signers));
}

bool vouches_for(const ldns_rr& ds_record, const ldns_rr& key) {
  const Ds ds(ds_record);
  const ByteSpan algorithm = rdata_field(key, 2);
  if (algorithm.empty() || algorithm[0] != ds.algorithm || ldns_calc_keytag(&key) != ds.key_tag) {
    return false;
  }
  const RecordHandle own(ldns_key_rr2ds(&key, static_cast<ldns_hash>(ds.digest_type)));
  return own && is_complete(*own) && std::ranges::equal(Ds(*own).digest, ds.digest);
}

/// The records of an anchor file line by line, comments and empty lines left out.
Expected<std::vector<RecordHandle>, std::string> read_records(std::string_view text) {
  std::vector<RecordHandle> records;
  std::istringstream lines{std::string(text)};
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    line = line.substr(0, line.find(';'));
    if (line.find_first_not_of(" \t\r") == std::string::npos) {
      continue;
    }
    ldns_rr* rr = nullptr;
    const ldns_status status = ldns_rr_new_frm_str(&rr, line.c_str(), 0, nullptr, nullptr);
    RecordHandle owner(rr);
    if (status != LDNS_STATUS_OK) {
      return Unexpected<std::string>(
          fmt::format("line {}: {}", number, ldns_get_errorstr_by_id(status)));
    }
    const bool is_key = is_zone_key(*rr);
    if (!is_key && !(is_complete(*rr) && is_supported(*rr))) {
      return Unexpected<std::string>(
          fmt::format("line {}: neither a DNSKEY nor a DS record that can be used", number));
    }
    records.push_back(std::move(owner));
  }
  return records;
}

std::optional<seconds> checked(const RecordSet& set, const ZoneKeys& keys, WallTime now,
                               DnssecBudget& budget) {
  if (set.records.empty()) {
    return std::nullopt;
  }
  const auto good = check_signatures(set, keys, now, budget);
  return good ? std::optional(good->ttl) : std::nullopt;
}

/// The TTL of a signed CNAME at child, or of a signed DNAME above it: then there is no zone cut.
std::optional<seconds> alias_ttl(const DnssecMessage& message, const std::string& child,
                                 const ZoneKeys& parent, WallTime now, DnssecBudget& budget) {
  if (auto ttl = checked(message.answer(child, LDNS_RR_TYPE_CNAME), parent, now, budget)) {
    return ttl;
  }
  for (const RecordSet& set : message.answers(LDNS_RR_TYPE_DNAME)) {
    const auto owner = name_of(set.owner);
    if (owner && *owner != child && is_in(child, *owner)) {
      return checked(set, parent, now, budget);
    }
  }
  return std::nullopt;
}

Expected<Delegation, std::string> delegation_by(const DenialProofs& proofs,
                                                const std::string& child) {
  switch (proofs.of(child, LDNS_RR_TYPE_DS)) {
    case Denial::delegation:
    case Denial::opt_out:
    case Denial::excess:
      return DelegationUnsigned{proofs.ttl()};
    case Denial::no_type:
      return NoDelegation{proofs.ttl()};
    case Denial::no_name:
      return NothingBelow{proofs.ttl()};
    case Denial::none:
      break;
  }
  return Unexpected<std::string>(fmt::format("DS of {}: {}", child, proofs.reason()));
}

}  // namespace

Expected<DnssecAnchors, std::string> DnssecAnchors::parse(std::string_view text) {
  auto records = read_records(text);
  if (!records) {
    return Unexpected<std::string>(std::move(records.error()));
  }
  if (records->empty()) {
    return Unexpected<std::string>("no trust anchor in it");
  }
  std::map<std::string, Signers> by_zone;
  for (const RecordHandle& record : *records) {
    const auto zone = name_of(ldns_rr_owner(record.get()));
    if (!zone) {
      return Unexpected<std::string>("unusable owner name");
    }
    const bool is_key = ldns_rr_get_type(record.get()) == LDNS_RR_TYPE_DNSKEY;
    by_zone[*zone].push_back(
        share(is_key ? ldns_key_rr2ds(record.get(), LDNS_SHA256) : ldns_rr_clone(record.get())));
  }
  DnssecAnchors anchors;
  for (auto& [zone, signers] : by_zone) {
    anchors.by_zone_.emplace(zone, std::make_shared<const Signers>(std::move(signers)));
  }
  return anchors;
}

std::string DnssecAnchors::zone_for(std::string_view name) const {
  for (std::string zone(name);; zone = parent_of(zone)) {
    if (by_zone_.contains(zone)) {
      return zone;
    }
    if (zone == kRootName) {
      return {};
    }
  }
}

DelegationSigners DnssecAnchors::of(const std::string& zone) const {
  return by_zone_.at(zone);
}

Expected<CheckedKeys, std::string> check_keys(const DnssecMessage& message, const std::string& zone,
                                              const DelegationSigners& signers, WallTime now) {
  const RecordSet set = message.answer(zone, LDNS_RR_TYPE_DNSKEY);
  if (set.records.empty() || set.records.size() > kMaxKeys) {
    return Unexpected<std::string>(fmt::format("no usable DNSKEY records of {}", zone));
  }
  std::vector<const ldns_rr*> vouched;
  std::ranges::copy_if(set.records, std::back_inserter(vouched), [&signers](const ldns_rr* key) {
    return is_zone_key(*key) &&
           std::ranges::any_of(*signers, [key](const auto& ds) { return vouches_for(*ds, *key); });
  });
  if (vouched.empty()) {
    return Unexpected<std::string>(fmt::format("no DNSKEY of {} matches its DS records", zone));
  }
  DnssecBudget budget;
  const auto good = check_signatures(set, ZoneKeys(zone, vouched), now, budget);
  if (!good) {
    return Unexpected<std::string>(fmt::format("DNSKEY of {}: {}", zone, good.error()));
  }
  return CheckedKeys{std::make_shared<const ZoneKeys>(
                         zone, std::vector<const ldns_rr*>(set.records.begin(), set.records.end())),
                     good->ttl};
}

Expected<Delegation, std::string> check_delegation(const DnssecMessage& message,
                                                   const std::string& child, const ZoneKeys& parent,
                                                   WallTime now) {
  DnssecBudget budget;
  if (const RecordSet set = message.answer(child, LDNS_RR_TYPE_DS); !set.records.empty()) {
    const auto good = check_signatures(set, parent, now, budget);
    if (!good) {
      return Unexpected<std::string>(fmt::format("DS of {}: {}", child, good.error()));
    }
    if (good->labels != label_count(child)) {
      return Unexpected<std::string>(fmt::format("DS of {} comes from a wildcard", child));
    }
    // RFC 4035 §5.2: a zone with nothing but algorithms we do not know is an unsigned one.
    const DelegationSigners signers = usable_signers(set.records);
    if (signers->empty()) {
      return DelegationUnsigned{good->ttl};
    }
    return DelegationSigned{signers, good->ttl};
  }
  if (const auto ttl = alias_ttl(message, child, parent, now, budget)) {
    return NoDelegation{*ttl};
  }
  return delegation_by(DenialProofs(message, parent, now, budget), child);
}

}  // namespace relay::net
