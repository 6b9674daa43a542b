#include "relay/net/dns_message.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <cctype>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>
#include <ldns/ldns.h>

#include "relay/net/dns_wire.h"

namespace relay::net {
namespace {

constexpr std::size_t kHeaderSize = 12;
constexpr std::uint16_t kClassIn = 1;
constexpr int kMaxChain = 16;

using std::chrono::seconds;

std::string_view as_text(ByteSpan bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string rcode_name(unsigned rcode) {
  constexpr std::array<const char*, 6> kNames{"NOERROR",  "FORMERR", "SERVFAIL",
                                              "NXDOMAIN", "NOTIMP",  "REFUSED"};
  return rcode < kNames.size() ? kNames.at(rcode) : fmt::format("RCODE {}", rcode);
}

/// Whether the octets after the header repeat the question, in any letter case.
bool repeats_question(ByteSpan packet, const DnsQuestion& question) {
  const auto wire = name_to_wire(question.name);
  if (!wire || read16(packet, 4) != 1 || packet.size() < kHeaderSize + wire->size() + 4) {
    return false;
  }
  const ByteSpan asked = packet.subspan(kHeaderSize, wire->size());
  const std::size_t after = kHeaderSize + wire->size();
  return std::ranges::equal(asked, *wire, {}, lower, lower) &&
         read16(packet, after) == static_cast<std::uint16_t>(question.type) &&
         read16(packet, after + 2) == kClassIn;
}

/// Decides what the header alone decides; nothing when the records have to be read.
std::optional<DnsDecoded> judge_header(ByteSpan packet, const DnsQuestion& question) {
  if (packet.size() < kHeaderSize || read16(packet, 0) != question.id ||
      (packet[2] & 0xf8U) != 0x80U) {  // QR set, opcode QUERY
    return DnsMismatch{};
  }
  const unsigned rcode = packet[3] & 0x0fU;
  const bool refused = rcode != LDNS_RCODE_NOERROR && rcode != LDNS_RCODE_NXDOMAIN;
  // Servers that understood nothing may leave the question out.
  const bool without_question = read16(packet, 4) == 0 && refused;
  if (!without_question && !repeats_question(packet, question)) {
    return DnsMismatch{};
  }
  if (refused) {
    return DnsFailure{rcode_name(rcode)};
  }
  if ((packet[2] & 0x02U) != 0) {
    return DnsTruncated{};
  }
  return std::nullopt;
}

enum class Reading { usable, unusable, malformed };

Reading read_address(std::vector<std::string>& to, const ldns_rr& rr, int family,
                     std::size_t size) {
  const ByteSpan raw = rdata_field(rr, 0);
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (raw.size() != size ||
      inet_ntop(family, raw.data(), text.data(), static_cast<socklen_t>(text.size())) == nullptr) {
    return Reading::malformed;
  }
  to.emplace_back(text.data());
  return Reading::usable;
}

Reading read_name(std::vector<std::string>& to, const ldns_rr& rr) {
  auto name = name_to_text(rdata_field(rr, 0));
  if (!name) {
    return Reading::unusable;
  }
  to.push_back(std::move(*name));
  return Reading::usable;
}

Reading read_txt(std::vector<std::string>& to, const ldns_rr& rr) {
  std::string joined;
  for (std::size_t i = 0; i < ldns_rr_rd_count(&rr); ++i) {
    const ByteSpan field = rdata_field(rr, i);
    if (field.empty() || field.size() != std::size_t{field[0]} + 1) {
      return Reading::malformed;
    }
    joined += as_text(field.subspan(1));
  }
  to.push_back(std::move(joined));
  return Reading::usable;
}

Reading read_mx(std::vector<DnsMx>& to, const ldns_rr& rr) {
  const ByteSpan preference = rdata_field(rr, 0);
  const ByteSpan exchange = rdata_field(rr, 1);
  if (preference.size() != 2 || exchange.empty()) {
    return Reading::malformed;
  }
  auto name = name_to_text(exchange);
  if (!name) {
    return Reading::unusable;
  }
  to.push_back(DnsMx{read16(preference, 0), std::move(*name)});
  return Reading::usable;
}

Reading read_tlsa(std::vector<DnsTlsa>& to, const ldns_rr& rr) {
  const std::array<ByteSpan, 3> fields{rdata_field(rr, 0), rdata_field(rr, 1), rdata_field(rr, 2)};
  if (!std::ranges::all_of(fields, [](ByteSpan field) { return field.size() == 1; })) {
    return Reading::malformed;
  }
  to.push_back(
      DnsTlsa{fields[0][0], fields[1][0], fields[2][0], std::string(as_text(rdata_field(rr, 3)))});
  return Reading::usable;
}

Reading read_octets(std::vector<std::string>& to, const ldns_rr& rr) {
  std::string octets;
  for (std::size_t i = 0; i < ldns_rr_rd_count(&rr); ++i) {
    octets += as_text(rdata_field(rr, i));
  }
  to.push_back(std::move(octets));
  return Reading::usable;
}

Reading read_record(DnsRecords& records, DnsType type, const ldns_rr& rr) {
  switch (type) {
    case DnsType::a:
      return read_address(std::get<std::vector<std::string>>(records), rr, AF_INET, 4);
    case DnsType::aaaa:
      return read_address(std::get<std::vector<std::string>>(records), rr, AF_INET6, 16);
    case DnsType::cname:
      return read_name(std::get<std::vector<std::string>>(records), rr);
    case DnsType::txt:
      return read_txt(std::get<std::vector<std::string>>(records), rr);
    case DnsType::mx:
      return read_mx(std::get<std::vector<DnsMx>>(records), rr);
    case DnsType::tlsa:
      return read_tlsa(std::get<std::vector<DnsTlsa>>(records), rr);
    case DnsType::ds:
    case DnsType::dnskey:
      return read_octets(std::get<std::vector<std::string>>(records), rr);
  }
  return Reading::malformed;
}

DnsRecords no_records(DnsType type) {
  switch (type) {
    case DnsType::mx:
      return std::vector<DnsMx>();
    case DnsType::tlsa:
      return std::vector<DnsTlsa>();
    case DnsType::a:
    case DnsType::aaaa:
    case DnsType::cname:
    case DnsType::txt:
    case DnsType::ds:
    case DnsType::dnskey:
      break;
  }
  return std::vector<std::string>();
}

/// Walks the sections of a parsed response.
class AnswerReader {
 public:
  AnswerReader(const ldns_pkt& packet, const DnsQuestion& question, AdTrust trust)
      : packet_(packet),
        type_(question.type),
        dnssec_(trust == AdTrust::trusted && ldns_pkt_ad(&packet) ? DnssecState::secure
                                                                  : DnssecState::insecure),
        owner_(question.name == kRootName ? std::string() : lower_case(question.name)) {
    const ldns_rr_list* answer = ldns_pkt_answer(&packet);
    for (std::size_t i = 0; i < ldns_rr_list_rr_count(answer); ++i) {
      add(*ldns_rr_list_rr(answer, i));
    }
  }

  DnsDecoded read() {
    for (int step = 0; step <= kMaxChain; ++step) {
      if (auto answer = records_at_owner()) {
        return std::move(*answer);
      }
      const Record* alias = find(owner_, LDNS_RR_TYPE_CNAME);
      if (alias == nullptr) {
        return end_of_chain();
      }
      auto target = name_to_text(rdata_field(*alias->rr, 0));
      if (!target || target->empty()) {
        return DnsFailure{"unusable name in answer"};
      }
      owner_ = std::move(*target);
      ttl_ = std::min(ttl_, ttl_of(*alias->rr));
      followed_ = true;
    }
    return DnsFailure{"CNAME chain too long"};
  }

 private:
  struct Record {
    std::string owner;
    ldns_rr_type type;
    const ldns_rr* rr;
  };

  void add(const ldns_rr& rr) {
    const ldns_rdf* owner = ldns_rr_owner(&rr);
    if (owner == nullptr || ldns_rr_get_class(&rr) != LDNS_RR_CLASS_IN) {
      return;
    }
    if (auto name = name_to_text({ldns_rdf_data(owner), ldns_rdf_size(owner)})) {
      records_.push_back(Record{std::move(*name), ldns_rr_get_type(&rr), &rr});
    }
  }

  [[nodiscard]] const Record* find(std::string_view owner, ldns_rr_type type) const {
    const auto found = std::ranges::find_if(records_, [&](const Record& record) {
      return record.type == type && record.owner == owner;
    });
    return found == records_.end() ? nullptr : &*found;
  }

  std::optional<DnsDecoded> records_at_owner() {
    DnsRecords records = no_records(type_);
    seconds ttl = ttl_;
    bool usable = false;
    bool unusable = false;
    for (const Record& record : records_) {
      if (static_cast<unsigned>(record.type) != static_cast<unsigned>(type_) ||
          record.owner != owner_) {
        continue;
      }
      const Reading reading = read_record(records, type_, *record.rr);
      if (reading == Reading::malformed) {
        return DnsMalformed{};
      }
      usable = usable || reading == Reading::usable;
      unusable = unusable || reading == Reading::unusable;
      ttl = std::min(ttl, ttl_of(*record.rr));
    }
    if (usable) {
      return DnsAnswer{std::move(records), owner_, ttl, dnssec_};
    }
    if (unusable) {
      // Not an absence: that would send mail to the domain's A record.
      return DnsFailure{"unusable name in answer"};
    }
    return std::nullopt;
  }

  /// RFC 2308 §2: an absence carries a SOA, or neither SOA nor NS; NS alone is a referral.
  [[nodiscard]] DnsDecoded end_of_chain() const {
    const bool no_such_name = ldns_pkt_get_rcode(&packet_) == LDNS_RCODE_NXDOMAIN;
    const ldns_rr* soa = authority(LDNS_RR_TYPE_SOA);
    if (soa == nullptr && !no_such_name) {
      if (followed_) {
        return DnsAlias{owner_, ttl_, dnssec_};
      }
      if (authority(LDNS_RR_TYPE_NS) != nullptr && !ldns_pkt_aa(&packet_)) {
        return DnsFailure{"referral instead of an answer"};
      }
    }
    seconds ttl{0};
    if (soa != nullptr) {
      const ByteSpan minimum = rdata_field(*soa, 6);
      if (minimum.size() != 4) {
        return DnsMalformed{};
      }
      ttl = std::min({ttl_, ttl_of(*soa), seconds(read32(minimum, 0))});
    }
    return DnsNoRecord{!no_such_name, ttl, dnssec_};
  }

  [[nodiscard]] const ldns_rr* authority(ldns_rr_type type) const {
    const ldns_rr_list* list = ldns_pkt_authority(&packet_);
    for (std::size_t i = 0; i < ldns_rr_list_rr_count(list); ++i) {
      const ldns_rr* rr = ldns_rr_list_rr(list, i);
      if (ldns_rr_get_type(rr) == type) {
        return rr;
      }
    }
    return nullptr;
  }

  const ldns_pkt& packet_;
  DnsType type_;
  DnssecState dnssec_;
  std::string owner_;
  std::vector<Record> records_;
  seconds ttl_ = seconds(0x7fffffff);
  bool followed_ = false;
};

}  // namespace

bool askable(std::string_view name) {
  return name_to_wire(name).has_value();
}

std::vector<std::uint8_t> encode_query(const DnsQuestion& question) {
  const auto wire = name_to_wire(question.name);
  if (!wire) {
    return {};
  }
  ldns_rdf* name = ldns_dname_new_frm_data(static_cast<std::uint16_t>(wire->size()), wire->data());
  if (name == nullptr) {
    return {};
  }
  const bool ours = question.checking == DnsChecking::by_us;
  const auto flags = static_cast<std::uint16_t>(LDNS_RD | (ours ? LDNS_CD : LDNS_AD));
  const PacketHandle packet(
      ldns_pkt_query_new(name, static_cast<ldns_rr_type>(question.type), LDNS_RR_CLASS_IN, flags));
  if (!packet) {
    ldns_rdf_deep_free(name);
    return {};
  }
  ldns_pkt_set_id(packet.get(), question.id);
  ldns_pkt_set_edns_udp_size(packet.get(), 1232);
  ldns_pkt_set_edns_do(packet.get(), true);
  std::uint8_t* bytes = nullptr;
  std::size_t size = 0;
  if (ldns_pkt2wire(&bytes, packet.get(), &size) != LDNS_STATUS_OK) {
    return {};
  }
  const BufferHandle owner(bytes);
  return {bytes, bytes + size};
}

DnsDecoded decode_answer(std::span<const std::uint8_t> packet, const DnsQuestion& question,
                         AdTrust trust) {
  if (auto decided = judge_header(packet, question)) {
    return std::move(*decided);
  }
  if (question.checking == DnsChecking::by_us) {
    return DnsRaw{{packet.begin(), packet.end()}};
  }
  ldns_pkt* parsed = nullptr;
  if (ldns_wire2pkt(&parsed, packet.data(), packet.size()) != LDNS_STATUS_OK) {
    return DnsMalformed{};
  }
  const PacketHandle owner(parsed);
  if (const unsigned extended = ldns_pkt_edns_extended_rcode(parsed); extended != 0) {
    return DnsFailure{rcode_name((extended << 4U) | (packet[3] & 0x0fU))};
  }
  return AnswerReader(*parsed, question, trust).read();
}

}  // namespace relay::net
