// Whatever NSEC and NSEC3 records a zone signs, reading them as proofs has no fault and bounded
// cost.
#include "relay/net/dnssec_denial.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <ldns/ldns.h>

namespace {

using relay::net::DenialProofs;
using relay::net::DnssecBudget;
using relay::net::DnssecMessage;
using relay::net::WallTime;
using relay::net::ZoneKeys;

constexpr WallTime kNow{std::chrono::hours(480'000)};

struct Signer {
  Signer() : keys(ldns_key_list_new()) {
    ldns_key* key = ldns_key_new_frm_algorithm(LDNS_SIGN_ED25519, 256);
    ldns_key_set_pubkey_owner(key, relay::net::make_name("net").release());
    ldns_key_set_flags(key, LDNS_KEY_ZONE_KEY | LDNS_KEY_SEP_KEY);
    const auto now = std::chrono::duration_cast<std::chrono::seconds>(kNow.time_since_epoch());
    ldns_key_set_inception(key, static_cast<std::uint32_t>(now.count() - 3600));
    ldns_key_set_expiration(key, static_cast<std::uint32_t>(now.count() + 3600));
    record.reset(ldns_key2rr(key));
    ldns_key_set_keytag(key, ldns_calc_keytag(record.get()));
    ldns_key_list_push_key(keys, key);
  }
  ldns_key_list* keys;
  relay::net::RecordHandle record;
};

const Signer& signer() {
  static const Signer kSigner;
  return kSigner;
}

/// Replaces the signatures of the packet's proofs by good ones.
void sign(ldns_pkt& packet) {
  ldns_rr_list* section = ldns_pkt_authority(&packet);
  const std::size_t count = ldns_rr_list_rr_count(section);
  for (std::size_t i = 0; i < count; ++i) {
    ldns_rr* rr = ldns_rr_list_rr(section, i);
    const bool nsec = ldns_rr_get_type(rr) == LDNS_RR_TYPE_NSEC && ldns_rr_rd_count(rr) == 2;
    const bool nsec3 = ldns_rr_get_type(rr) == LDNS_RR_TYPE_NSEC3 && ldns_rr_rd_count(rr) >= 5;
    if (!nsec && !nsec3) {
      continue;
    }
    const relay::net::RecordListHandle set(ldns_rr_list_new());
    ldns_rr_list_push_rr(set.get(), rr);
    if (ldns_rr_list* signatures = ldns_sign_public(set.get(), signer().keys)) {
      ldns_rr_list_push_rr_list(section, signatures);
      ldns_rr_list_free(signatures);
    }
  }
  ldns_pkt_set_nscount(&packet, static_cast<std::uint16_t>(ldns_rr_list_rr_count(section)));
}

std::vector<std::uint8_t> signed_packet(const std::uint8_t* data, std::size_t size) {
  ldns_pkt* parsed = nullptr;
  if (ldns_wire2pkt(&parsed, data, size) != LDNS_STATUS_OK) {
    return {};
  }
  const relay::net::PacketHandle packet(parsed);
  sign(*packet);
  std::uint8_t* bytes = nullptr;
  std::size_t length = 0;
  if (ldns_pkt2wire(&bytes, packet.get(), &length) != LDNS_STATUS_OK) {
    return {};
  }
  std::vector<std::uint8_t> result(bytes, bytes + length);
  LDNS_FREE(bytes);
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = signed_packet(data, size);
  const auto message = DnssecMessage::parse(bytes);
  if (!message) {
    return 0;
  }
  DnssecBudget budget;
  const ZoneKeys keys("net", {signer().record.get()});
  const DenialProofs proofs(*message, keys, kNow, budget);
  for (const char* name : {"www.example.net", "example.net", "a.b.c.example.net", "net"}) {
    for (const ldns_rr_type type : {LDNS_RR_TYPE_A, LDNS_RR_TYPE_DS, LDNS_RR_TYPE_TLSA}) {
      static_cast<void>(proofs.of(name, type));
    }
    static_cast<void>(proofs.of_exact(name, 1));
    static_cast<void>(proofs.of_exact(name, 2));
  }
  return 0;
}
