#include "relay/net/dnssec_denial.h"

#include <algorithm>
#include <array>
#include <span>
#include <stdexcept>

#include <openssl/evp.h>

namespace relay::net {
namespace {

constexpr unsigned kMaxIterations = 150;
constexpr std::size_t kSha1Size = 20;

/// RFC 4034 §4.1.2. A malformed bitmap holds nothing behind its fault.
bool has(ByteSpan bitmap, ldns_rr_type type) {
  const auto value = static_cast<unsigned>(type);
  while (bitmap.size() > 2 && bitmap.size() >= std::size_t{2} + bitmap[1]) {
    if (bitmap[0] == value / 256) {
      const unsigned bit = value % 256;
      return bit / 8 < bitmap[1] && (bitmap[2 + bit / 8] & (0x80U >> (bit % 8))) != 0;
    }
    bitmap = bitmap.subspan(std::size_t{2} + bitmap[1]);
  }
  return false;
}

/// A record at the parent's side of a zone cut, or above a DNAME, says nothing about names below
/// (RFC 6840 §4.1).
bool ends_here(ByteSpan types) {
  return has(types, LDNS_RR_TYPE_DNAME) ||
         (has(types, LDNS_RR_TYPE_NS) && !has(types, LDNS_RR_TYPE_SOA));
}

/// What the record at the very name says about type.
Denial at_name(ByteSpan types, ldns_rr_type type, bool is_root) {
  if (has(types, type) || has(types, LDNS_RR_TYPE_CNAME)) {
    return Denial::none;
  }
  const bool cut = has(types, LDNS_RR_TYPE_NS);
  const bool apex = has(types, LDNS_RR_TYPE_SOA);
  if (type == LDNS_RR_TYPE_DS) {
    if (apex && !is_root) {
      return Denial::none;  // the child's side knows nothing about DS
    }
    return cut && !apex ? Denial::delegation : Denial::no_type;
  }
  return cut && !apex ? Denial::none : Denial::no_type;
}

bool is_below(const ldns_rdf* name, const ldns_rdf* above) {
  return ldns_dname_is_subdomain(name, above);
}

bool is_at_or_below(const ldns_rdf* name, const ldns_rdf* above) {
  return ldns_dname_compare(name, above) == 0 || is_below(name, above);
}

std::string as_string(ByteSpan bytes) {
  return {bytes.begin(), bytes.end()};
}

/// The first label of an NSEC3 owner below zone, as octets; empty when it is none.
std::string owner_hash(const ldns_rdf* owner, std::string_view zone) {
  const auto name = name_of(owner);
  if (!name || *name == zone || *name == kRootName || parent_of(*name) != zone) {
    return {};
  }
  const std::string label = name->substr(0, name->find('.'));
  std::array<std::uint8_t, 64> octets{};
  const int size =
      ldns_b32_pton_extended_hex(label.c_str(), label.size(), octets.data(), octets.size());
  return size == static_cast<int>(kSha1Size)
             ? std::string(octets.begin(), octets.begin() + kSha1Size)
             : std::string();
}

std::string wildcard_of(std::string_view encloser) {
  return encloser == kRootName ? "*" : "*." + std::string(encloser);
}

}  // namespace

DenialProofs::DenialProofs(const DnssecMessage& message, const ZoneKeys& keys, WallTime now,
                           DnssecBudget& budget)
    : zone_(keys.zone()) {
  for (const ldns_rr_type type : {LDNS_RR_TYPE_NSEC, LDNS_RR_TYPE_NSEC3}) {
    for (const RecordSet& set : message.authorities(type)) {
      const auto good = check_signatures(set, keys, now, budget);
      if (!good) {
        reason_ = "absence: " + good.error();
        continue;
      }
      // A record expanded from a wildcard is no proof.
      if (set.records.size() != 1 || good->labels != label_count(set.owner)) {
        continue;
      }
      ttl_ = std::min(ttl_.value_or(good->ttl), good->ttl);
      type == LDNS_RR_TYPE_NSEC ? add_nsec(set) : add_nsec3(set);
    }
  }
}

void DenialProofs::add_nsec(const RecordSet& set) {
  const ldns_rr* rr = set.records.front();
  const ldns_rdf* next = ldns_rr_rdf(rr, 0);
  if (next != nullptr && ldns_rdf_get_type(next) == LDNS_RDF_TYPE_DNAME) {
    nsec_.push_back({set.owner, next, rdata_field(*rr, 1)});
  }
}

void DenialProofs::add_nsec3(const RecordSet& set) {
  const ldns_rr& rr = *set.records.front();
  const std::array<ByteSpan, 6> fields{rdata_field(rr, 0), rdata_field(rr, 1), rdata_field(rr, 2),
                                       rdata_field(rr, 3), rdata_field(rr, 4), rdata_field(rr, 5)};
  const auto& [algorithm, flags, iterations, salt, next, types] = fields;
  // RFC 5155 §8.1, §8.2: unknown algorithms and flags are ignored.
  if (algorithm.size() != 1 || algorithm[0] != 1 || flags.size() != 1 || flags[0] > 1 ||
      iterations.size() != 2 || salt.empty() || next.size() != kSha1Size + 1) {
    return;
  }
  if (nsec3_.empty()) {
    iterations_ = read16(iterations, 0);
    salt_ = as_string(salt.subspan(1));
  } else if (iterations_ != read16(iterations, 0) || salt_ != as_string(salt.subspan(1))) {
    return;
  }
  if (std::string owner = owner_hash(set.owner, zone_); !owner.empty()) {
    nsec3_.push_back({std::move(owner), as_string(next.subspan(1)), flags[0] == 1, types});
  }
}

Denial DenialProofs::of(std::string_view name, ldns_rr_type type) const {
  if (!nsec3_.empty() && iterations_ > kMaxIterations) {
    return Denial::excess;
  }
  const Denial by_name = by_nsec(name, type);
  return by_name == Denial::none && !nsec3_.empty() ? by_nsec3(name, type) : by_name;
}

Denial DenialProofs::of_exact(std::string_view name, unsigned labels) const {
  if (label_count(name) <= labels) {
    return Denial::none;
  }
  std::string encloser(name);
  std::string next_closer;
  while (encloser != kRootName && label_count(encloser) > labels) {
    next_closer = std::exchange(encloser, parent_of(encloser));
  }
  if (const NsecRange* range = nsec_over(make_name(name).get())) {
    // The wildcard must be the one next to the name: nothing exists between them.
    const NameHandle between = make_name(next_closer);
    return is_at_or_below(range->owner, between.get()) || is_at_or_below(range->next, between.get())
               ? Denial::none
               : Denial::no_name;
  }
  if (nsec3_.empty()) {
    return Denial::none;
  }
  if (iterations_ > kMaxIterations) {
    return Denial::excess;
  }
  const Nsec3Range* range = nsec3_over(next_closer);
  if (range == nullptr) {
    return Denial::none;
  }
  return range->opt_out ? Denial::opt_out : Denial::no_name;
}

const NsecRange* DenialProofs::nsec_at(const ldns_rdf* name) const {
  const auto found = std::ranges::find_if(
      nsec_, [name](const NsecRange& range) { return ldns_dname_compare(range.owner, name) == 0; });
  return found == nsec_.end() ? nullptr : &*found;
}

/// The range that name, which is in the zone, falls into; none when its owner may not speak for
/// name.
const NsecRange* DenialProofs::nsec_over(const ldns_rdf* name) const {
  const auto found = std::ranges::find_if(nsec_, [name](const NsecRange& range) {
    const bool last = ldns_dname_compare(range.next, range.owner) <= 0;  // back to the apex
    return ldns_dname_compare(range.owner, name) < 0 &&
           (last || ldns_dname_compare(name, range.next) < 0) &&
           !(is_below(name, range.owner) && ends_here(range.types));
  });
  return found == nsec_.end() ? nullptr : &*found;
}

Denial DenialProofs::by_nsec(std::string_view name, ldns_rr_type type) const {
  const NameHandle wire = make_name(name);
  if (const NsecRange* here = nsec_at(wire.get())) {
    return at_name(here->types, type, name == kRootName);
  }
  const NsecRange* over = nsec_over(wire.get());
  if (over == nullptr) {
    return Denial::none;
  }
  if (is_below(over->next, wire.get())) {
    return Denial::no_type;  // an empty non-terminal: only names below it exist
  }
  std::string encloser = parent_of(name);
  for (; encloser != zone_ && encloser != kRootName; encloser = parent_of(encloser)) {
    const NameHandle candidate = make_name(encloser);
    if (is_at_or_below(over->owner, candidate.get()) ||
        is_at_or_below(over->next, candidate.get())) {
      break;
    }
  }
  const NameHandle wildcard = make_name(wildcard_of(encloser));
  if (const NsecRange* here = nsec_at(wildcard.get())) {
    return at_name(here->types, type, false) == Denial::no_type ? Denial::no_type : Denial::none;
  }
  return nsec_over(wildcard.get()) != nullptr ? Denial::no_name : Denial::none;
}

std::string DenialProofs::hash(std::string_view name) const {
  const auto wire = name_to_wire(name).value_or(std::vector<std::uint8_t>{0});
  std::string value(wire.begin(), wire.end());
  std::array<unsigned char, kSha1Size> digest{};
  for (unsigned round = 0; round <= iterations_; ++round) {
    value += salt_;
    if (EVP_Digest(value.data(), value.size(), digest.data(), nullptr, EVP_sha1(), nullptr) != 1) {
      throw std::runtime_error("no SHA-1");
    }
    value.assign(digest.begin(), digest.end());
  }
  return value;
}

const Nsec3Range* DenialProofs::nsec3_at(std::string_view name) const {
  const std::string hashed = hash(name);
  const auto found = std::ranges::find(nsec3_, hashed, &Nsec3Range::owner);
  return found == nsec3_.end() ? nullptr : &*found;
}

const Nsec3Range* DenialProofs::nsec3_over(std::string_view name) const {
  const std::string hashed = hash(name);
  const auto found = std::ranges::find_if(nsec3_, [&hashed](const Nsec3Range& range) {
    if (range.owner < range.next) {
      return range.owner < hashed && hashed < range.next;
    }
    return range.owner < hashed || hashed < range.next;  // the last one
  });
  return found == nsec3_.end() ? nullptr : &*found;
}

Denial DenialProofs::by_nsec3(std::string_view name, ldns_rr_type type) const {
  if (const Nsec3Range* here = nsec3_at(name)) {
    return at_name(here->types, type, name == kRootName);
  }
  for (std::string child(name); child != zone_ && child != kRootName;) {
    const std::string encloser = parent_of(child);
    if (const Nsec3Range* here = nsec3_at(encloser)) {
      return ends_here(here->types) ? Denial::none : below(encloser, child, type);
    }
    child = encloser;
  }
  return Denial::none;
}

/// encloser exists, and nothing that is known about next_closer, the name below it: RFC 5155 §8.4
/// to §8.7.
Denial DenialProofs::below(std::string_view encloser, std::string_view next_closer,
                           ldns_rr_type type) const {
  const Nsec3Range* over = nsec3_over(next_closer);
  if (over == nullptr) {
    return Denial::none;
  }
  if (over->opt_out && type == LDNS_RR_TYPE_DS) {
    return Denial::opt_out;
  }
  const std::string wildcard = wildcard_of(encloser);
  Denial denial = nsec3_over(wildcard) != nullptr ? Denial::no_name : Denial::none;
  if (const Nsec3Range* here = nsec3_at(wildcard)) {
    denial = at_name(here->types, type, false) == Denial::no_type ? Denial::no_type : Denial::none;
  }
  return denial != Denial::none && over->opt_out ? Denial::opt_out : denial;
}

}  // namespace relay::net
