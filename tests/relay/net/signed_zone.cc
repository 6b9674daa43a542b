#include "tests/relay/net/signed_zone.h"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <utility>

namespace support {

using relay::net::child_towards;
using relay::net::is_in;
using relay::net::kRootName;
using relay::net::make_name;
using relay::net::name_of;
using relay::net::parent_of;

namespace {

std::shared_ptr<ldns_rr> share(ldns_rr* rr) {
  return {rr, &ldns_rr_free};
}

std::shared_ptr<ldns_rr> parse(const std::string& line) {
  ldns_rr* rr = nullptr;
  if (ldns_rr_new_frm_str(&rr, line.c_str(), 300, nullptr, nullptr) != LDNS_STATUS_OK) {
    throw std::runtime_error("no record: " + line);
  }
  return share(rr);
}

std::string text_of(const ldns_rr* rr) {
  const std::unique_ptr<char, decltype(&free)> text(ldns_rr2str(rr), &free);
  return {text.get()};
}

std::string type_text(ldns_rr_type type) {
  const std::unique_ptr<char, decltype(&free)> text(ldns_rr_type2str(type), &free);
  return {text.get()};
}

std::string absolute(const std::string& name) {
  return name == kRootName ? name : name + ".";
}

std::uint32_t seconds_of(std::chrono::sys_days day) {
  return static_cast<std::uint32_t>(
      std::chrono::duration_cast<std::chrono::seconds>(day.time_since_epoch()).count());
}

std::uint32_t ttl_of_absence() {
  return 120;
}

bool canonically_before(const std::string& a, const std::string& b) {
  return ldns_dname_compare(make_name(a).get(), make_name(b).get()) < 0;
}

std::string hashed_label(const std::string& name, unsigned iterations) {
  const relay::net::NameHandle hashed(ldns_nsec3_hash_name(
      make_name(name).get(), LDNS_SHA1, static_cast<std::uint16_t>(iterations), 0, nullptr));
  std::string label = name_of(hashed.get()).value();
  return label;
}

bool covers(const ldns_rr* rr, ldns_rr_type type) {
  return ldns_rr_get_type(rr) == LDNS_RR_TYPE_RRSIG &&
         ldns_rdf2rr_type(ldns_rr_rrsig_typecovered(rr)) == type;
}

void remove_if(ldns_rr_list* section, const std::function<bool(const ldns_rr*)>& unwanted) {
  std::vector<ldns_rr*> kept;
  while (ldns_rr* rr = ldns_rr_list_pop_rr(section)) {
    if (unwanted(rr)) {
      ldns_rr_free(rr);
    } else {
      kept.push_back(rr);
    }
  }
  for (auto rr = kept.rbegin(); rr != kept.rend(); ++rr) {
    ldns_rr_list_push_rr(section, *rr);
  }
}

}  // namespace

SignedZone::SignedZone(std::string name, const std::vector<std::string>& lines,
                       const ZoneOptions& options)
    : name_(std::move(name)), keys_(ldns_key_list_new()) {
  add(absolute(name_) + " 120 IN SOA ns.invalid. root.invalid. 1 2 3 4 120");
  add(absolute(name_) + " 300 IN NS ns.invalid.");
  for (const auto& line : lines) {
    add(line);
  }
  if (options.signing == ZoneOptions::Signing::no) {
    return;
  }
  make_key(options);
  switch (options.denial) {
    case ZoneOptions::Denial::nsec:
      add_nsec();
      break;
    case ZoneOptions::Denial::nsec3:
    case ZoneOptions::Denial::opt_out:
      add_nsec3(options);
      break;
  }
  sign();
}

void SignedZone::make_key(const ZoneOptions& options) {
  const std::uint16_t bits = options.algorithm == LDNS_SIGN_RSASHA256 ? 2048 : 256;
  ldns_key* key = ldns_key_new_frm_algorithm(options.algorithm, bits);
  ldns_key_set_pubkey_owner(key, make_name(name_).release());
  ldns_key_set_flags(key, LDNS_KEY_ZONE_KEY | LDNS_KEY_SEP_KEY);
  ldns_key_set_inception(key, seconds_of(options.valid_from));
  ldns_key_set_expiration(key, seconds_of(options.valid_until));
  dnskey_ = share(ldns_key2rr(key));
  ldns_rr_set_ttl(dnskey_.get(), 300);
  ldns_key_set_keytag(key, ldns_calc_keytag(dnskey_.get()));
  ldns_key_list_push_key(keys_.get(), key);
  sets_[name_][LDNS_RR_TYPE_DNSKEY].records.push_back(dnskey_);
}

void SignedZone::add(const std::string& line) {
  auto record = parse(line);
  const std::string owner = name_of(ldns_rr_owner(record.get())).value();
  const ldns_rr_type type = ldns_rr_get_type(record.get());
  sets_[owner][type].records.push_back(std::move(record));
}

bool SignedZone::is_cut(const std::string& owner) const {
  const auto found = sets_.find(owner);
  return owner != name_ && found != sets_.end() && found->second.contains(LDNS_RR_TYPE_NS);
}

bool SignedZone::is_glue(const std::string& owner) const {
  for (std::string above = owner; above != name_;) {
    above = parent_of(above);
    if (is_cut(above)) {
      return true;
    }
  }
  return false;
}

std::string SignedZone::types_at(const std::string& owner) const {
  std::string types;
  const auto found = sets_.find(owner);
  if (found == sets_.end()) {
    return types;  // an empty non-terminal
  }
  bool has_signature = false;
  for (const auto& [type, set] : found->second) {
    if (is_cut(owner) && type != LDNS_RR_TYPE_NS && type != LDNS_RR_TYPE_DS) {
      continue;
    }
    types += " " + type_text(type);
    has_signature = has_signature || !is_cut(owner) || type == LDNS_RR_TYPE_DS;
  }
  return types + (has_signature ? " RRSIG" : "");
}

void SignedZone::add_nsec() {
  std::vector<std::string> owners;
  for (const auto& [owner, sets] : sets_) {
    if (!is_glue(owner)) {
      owners.push_back(owner);
    }
  }
  std::ranges::sort(owners, canonically_before);
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < owners.size(); ++i) {
    const std::string types = types_at(owners[i]);
    lines.push_back(absolute(owners[i]) + " " + std::to_string(ttl_of_absence()) + " IN NSEC " +
                    absolute(owners[(i + 1) % owners.size()]) + types +
                    (types.ends_with(" RRSIG") ? "" : " RRSIG") + " NSEC");
  }
  std::ranges::for_each(lines, [this](const std::string& line) { add(line); });
}

void SignedZone::add_nsec3(const ZoneOptions& options) {
  const bool opt_out = options.denial == ZoneOptions::Denial::opt_out;
  std::map<std::string, std::string> types_by_hash;
  for (const auto& [owner, sets] : sets_) {
    if (is_glue(owner) || (opt_out && is_cut(owner) && !sets.contains(LDNS_RR_TYPE_DS))) {
      continue;
    }
    for (std::string name = owner;; name = parent_of(name)) {  // with empty non-terminals
      types_by_hash[hashed_label(name, options.iterations)] = types_at(name);
      if (name == name_) {
        break;
      }
    }
  }
  for (auto at = types_by_hash.begin(); at != types_by_hash.end(); ++at) {
    const auto next = std::next(at) == types_by_hash.end() ? types_by_hash.begin() : std::next(at);
    add(at->first + "." + (name_ == kRootName ? "" : name_ + ".") + " " +
        std::to_string(ttl_of_absence()) + " IN NSEC3 1 " + (opt_out ? "1 " : "0 ") +
        std::to_string(options.iterations) + " - " + next->first + at->second);
  }
}

void SignedZone::sign() {
  for (auto& [owner, sets] : sets_) {
    for (auto& [type, set] : sets) {
      const bool is_proof = type == LDNS_RR_TYPE_NSEC || type == LDNS_RR_TYPE_DS;
      if (is_glue(owner) || (is_cut(owner) && !is_proof)) {
        continue;
      }
      const relay::net::RecordListHandle list(ldns_rr_list_new());
      for (const auto& record : set.records) {
        ldns_rr_list_push_rr(list.get(), record.get());
      }
      ldns_rr_list* signatures = ldns_sign_public(list.get(), keys_.get());
      for (std::size_t i = 0; i < ldns_rr_list_rr_count(signatures); ++i) {
        set.signatures.push_back(share(ldns_rr_list_rr(signatures, i)));
      }
      ldns_rr_list_free(signatures);
    }
  }
}

std::string SignedZone::ds(ldns_hash digest) const {
  return text_of(share(ldns_key_rr2ds(dnskey_.get(), digest)).get());
}

std::string SignedZone::dnskey() const {
  return text_of(dnskey_.get());
}

Records SignedZone::find(const std::string& owner, ldns_rr_type type) const {
  const auto at = sets_.find(owner);
  if (at == sets_.end() || !at->second.contains(type)) {
    return {};
  }
  const Set& set = at->second.at(type);
  Records all = set.records;
  all.insert(all.end(), set.signatures.begin(), set.signatures.end());
  return all;
}

bool SignedZone::has(const std::string& owner) const {
  return std::ranges::any_of(sets_, [&owner](const auto& at) {
    return is_in(at.first, owner) && !at.second.contains(LDNS_RR_TYPE_NSEC3);
  });
}

Records SignedZone::proofs() const {
  Records all = find(name_, LDNS_RR_TYPE_SOA);
  for (const auto& [owner, sets] : sets_) {
    for (const ldns_rr_type type : {LDNS_RR_TYPE_NSEC, LDNS_RR_TYPE_NSEC3}) {
      const Records proof = find(owner, type);
      all.insert(all.end(), proof.begin(), proof.end());
    }
  }
  return all;
}

void SignedWorld::add(SignedZone zone) {
  const std::string name = zone.name();
  zones_.emplace(name, std::move(zone));
}

const SignedZone& SignedWorld::zone_for(const relay::net::DnsAsk& ask) const {
  // DS is the parent's.
  std::string name =
      ask.type == relay::net::DnsType::ds && ask.name != kRootName ? parent_of(ask.name) : ask.name;
  while (!zones_.contains(name)) {
    name = parent_of(name);
  }
  return zones_.at(name);
}

std::vector<std::uint8_t> SignedWorld::respond(const relay::net::DnsAsk& ask, const Tamper& tamper,
                                               std::uint16_t id) const {
  const SignedZone& zone = zone_for(ask);
  const auto type = static_cast<ldns_rr_type>(ask.type);
  const std::unique_ptr<ldns_pkt, decltype(&ldns_pkt_free)> packet(ldns_pkt_new(), &ldns_pkt_free);
  ldns_pkt_set_id(packet.get(), id);
  ldns_pkt_set_qr(packet.get(), true);
  ldns_rr* question = ldns_rr_new();
  ldns_rr_set_question(question, true);
  ldns_rr_set_owner(question, make_name(ask.name).release());
  ldns_rr_set_type(question, type);
  ldns_rr_set_class(question, LDNS_RR_CLASS_IN);
  ldns_pkt_push_rr(packet.get(), LDNS_SECTION_QUESTION, question);

  const auto push = [&packet](ldns_pkt_section section, const Records& records,
                              const std::string& owner) {
    for (const auto& record : records) {
      ldns_rr* copy = ldns_rr_clone(record.get());
      if (!owner.empty()) {
        ldns_rdf_deep_free(ldns_rr_owner(copy));
        ldns_rr_set_owner(copy, make_name(owner).release());
      }
      ldns_pkt_push_rr(packet.get(), section, copy);
    }
  };
  // At the name, or at the wildcard next to it.
  std::string source = ask.name;
  std::string encloser = ask.name;
  while (!zone.has(encloser)) {
    encloser = parent_of(encloser);
    source = encloser == kRootName ? "*" : "*." + encloser;
  }
  const std::string new_owner = source == ask.name ? "" : ask.name;
  Records answer = zone.find(source, type);
  answer = answer.empty() ? zone.find(source, LDNS_RR_TYPE_CNAME) : answer;
  push(LDNS_SECTION_ANSWER, answer, new_owner);
  if (const Records dname = zone.find(encloser, LDNS_RR_TYPE_DNAME);
      answer.empty() && encloser != ask.name && !dname.empty()) {
    push(LDNS_SECTION_ANSWER, dname, "");
  } else if (answer.empty() || !new_owner.empty()) {
    push(LDNS_SECTION_AUTHORITY, zone.proofs(), "");
    if (answer.empty() && !zone.has(source)) {
      ldns_pkt_set_rcode(packet.get(), LDNS_RCODE_NXDOMAIN);
    }
  }
  if (tamper) {
    tamper(ask, *packet);
  }
  const auto count = [](const ldns_rr_list* section) {
    return static_cast<std::uint16_t>(ldns_rr_list_rr_count(section));
  };
  ldns_pkt_set_ancount(packet.get(), count(ldns_pkt_answer(packet.get())));
  ldns_pkt_set_nscount(packet.get(), count(ldns_pkt_authority(packet.get())));
  std::uint8_t* bytes = nullptr;
  std::size_t size = 0;
  if (ldns_pkt2wire(&bytes, packet.get(), &size) != LDNS_STATUS_OK) {
    throw std::runtime_error("no packet");
  }
  std::vector<std::uint8_t> result(bytes, bytes + size);
  LDNS_FREE(bytes);
  return result;
}

void strip(ldns_rr_list* section, ldns_rr_type type) {
  remove_if(section,
            [type](const ldns_rr* rr) { return ldns_rr_get_type(rr) == type || covers(rr, type); });
}

void strip_signatures(ldns_rr_list* section, ldns_rr_type type) {
  remove_if(section, [type](const ldns_rr* rr) { return covers(rr, type); });
}

void spoil_signatures(ldns_rr_list* section, ldns_rr_type type) {
  for (std::size_t i = 0; i < ldns_rr_list_rr_count(section); ++i) {
    if (ldns_rr* rr = ldns_rr_list_rr(section, i); covers(rr, type)) {
      ldns_rdf_data(ldns_rr_rrsig_sig(rr))[10] ^= 0xffU;
    }
  }
}

}  // namespace support
