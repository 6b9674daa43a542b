#include "relay/net/dns_message.h"

#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/net/dns_packet.h"

namespace {

using relay::net::AdTrust;
using relay::net::decode_answer;
using relay::net::DnsAlias;
using relay::net::DnsAnswer;
using relay::net::DnsDecoded;
using relay::net::DnsFailure;
using relay::net::DnsMalformed;
using relay::net::DnsMismatch;
using relay::net::DnsMx;
using relay::net::DnsNoRecord;
using relay::net::DnsQuestion;
using relay::net::DnssecState;
using relay::net::DnsTlsa;
using relay::net::DnsTruncated;
using relay::net::DnsType;
using std::chrono::seconds;
using support::DnsPacket;
using support::kCname;
using support::kNs;
using support::kSoa;
using support::wire_name;
namespace rdata = support::rdata;
using Texts = std::vector<std::string>;

std::span<const std::uint8_t> octets(const std::string& bytes) {
  return {reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()};
}

DnsQuestion question(DnsType type) {
  return {0x1234, "example.net", type};
}

DnsDecoded decode(const DnsPacket& packet, DnsType type, AdTrust trust = AdTrust::ignored) {
  return decode_answer(octets(packet.bytes()), question(type), trust);
}

DnsAnswer answer(const DnsDecoded& decoded) {
  REQUIRE(std::holds_alternative<DnsAnswer>(decoded));
  return std::get<DnsAnswer>(decoded);
}

Texts texts(const DnsDecoded& decoded) {
  return std::get<Texts>(answer(decoded).records);
}

std::string failure(const DnsDecoded& decoded) {
  REQUIRE(std::holds_alternative<DnsFailure>(decoded));
  return std::get<DnsFailure>(decoded).reason;
}

TEST_CASE("a query asks recursively, with EDNS 1232, for authentication state") {
  const auto query = relay::net::encode_query({0xabcd, "_mta-sts.Example.net", DnsType::txt});
  const std::string expected = support::be16(0xabcd) + support::be16(0x0120) +  // RD, AD
                               support::be16(1) + support::be16(0) + support::be16(0) +
                               support::be16(1) + wire_name("_mta-sts.Example.net") +
                               support::be16(16) + support::be16(1) + std::string(1, '\0') +
                               support::be16(41) + support::be16(1232) +
                               support::be32(0x00008000) +  // DO
                               support::be16(0);
  CHECK(std::string(query.begin(), query.end()) == expected);
}

TEST_CASE("names that need escapes, or are too long, cannot be asked for") {
  const std::string label(63, 'a');
  for (const std::string& name : {std::string("a"), std::string("."),
                                  std::string("_25._tcp.mx.example.net"), label + "." + label}) {
    CAPTURE(name);
    CHECK(relay::net::askable(name));
    CHECK_FALSE(relay::net::encode_query({1, name, DnsType::a}).empty());
  }
  const std::string four = label + "." + label + "." + label + "." + label;
  for (const std::string& name :
       {std::string(), std::string(".."), std::string("a."), std::string(".a"), std::string("a..b"),
        std::string("a\\.b"), std::string("a\\032b"), std::string("a b"), std::string("a\0b", 3),
        std::string("b\xc3\xbc"), label + "a", four}) {
    CAPTURE(name);
    CHECK_FALSE(relay::net::askable(name));
    CHECK(relay::net::encode_query({1, name, DnsType::a}).empty());
  }
}

TEST_CASE("addresses come as canonical text") {
  CHECK(texts(decode(DnsPacket(question(DnsType::a))
                         .answer("example.net", DnsType::a, 60, rdata::a("192.0.2.1"))
                         .answer("example.net", DnsType::a, 30, rdata::a("192.0.2.2")),
                     DnsType::a)) == Texts{"192.0.2.1", "192.0.2.2"});
  CHECK(texts(decode(DnsPacket(question(DnsType::aaaa))
                         .answer("example.net", DnsType::aaaa, 60, rdata::aaaa("2001:DB8:0::1")),
                     DnsType::aaaa)) == Texts{"2001:db8::1"});
}

TEST_CASE("the TTL is the smallest of chain and records, and never negative") {
  const auto ttl = [](std::uint32_t alias, std::uint32_t first, std::uint32_t second) {
    return answer(decode(DnsPacket(question(DnsType::a))
                             .answer("example.net", kCname, alias, wire_name("b.test"))
                             .answer("b.test", DnsType::a, first, rdata::a("192.0.2.1"))
                             .answer("b.test", DnsType::a, second, rdata::a("192.0.2.2")),
                         DnsType::a))
        .ttl;
  };
  CHECK(ttl(10, 20, 30) == seconds(10));
  CHECK(ttl(30, 20, 10) == seconds(10));
  CHECK(ttl(30, 0x80000001U, 10) == seconds(0));  // RFC 2181 §8
}

TEST_CASE("mail exchangers keep their preference, lose case, and may be the root") {
  const auto mx = std::get<std::vector<DnsMx>>(
      answer(decode(DnsPacket(question(DnsType::mx))
                        .answer("example.net", DnsType::mx, 60, rdata::mx(10, "MX1.Example.NET"))
                        .answer("example.net", DnsType::mx, 60, rdata::mx(0, "")),
                    DnsType::mx))
          .records);
  REQUIRE(mx.size() == 2);
  CHECK(mx[0].preference == 10);
  CHECK(mx[0].exchange == "mx1.example.net");
  CHECK(mx[1].preference == 0);
  CHECK(mx[1].exchange.empty());
}

TEST_CASE("an exchanger with an unusable name is left out; alone it is a failure, not an absence") {
  const std::string odd = support::be16(5) + wire_name("bad host.test");
  CHECK(std::get<std::vector<DnsMx>>(
            answer(decode(DnsPacket(question(DnsType::mx))
                              .answer("example.net", DnsType::mx, 60, odd)
                              .answer("example.net", DnsType::mx, 60, rdata::mx(10, "mx.test")),
                          DnsType::mx))
                .records)
            .size() == 1);
  CHECK(failure(decode(DnsPacket(question(DnsType::mx)).answer("example.net", DnsType::mx, 60, odd),
                       DnsType::mx)) == "unusable name in answer");
}

TEST_CASE("the character-strings of a TXT record are joined, octets untouched") {
  const std::string binary("\0\xff\"\\;", 5);
  CHECK(texts(decode(
            DnsPacket(question(DnsType::txt))
                .answer("example.net", DnsType::txt, 60, rdata::txt({"v=STSv1; ", "id=", "1;"}))
                .answer("example.net", DnsType::txt, 60, rdata::txt({binary}))
                .answer("example.net", DnsType::txt, 60, rdata::txt({""}))
                .answer("example.net", DnsType::txt, 60,
                        rdata::txt({std::string(255, 'x'), std::string(255, 'y')})),
            DnsType::txt)) ==
        Texts{"v=STSv1; id=1;", binary, "", std::string(255, 'x') + std::string(255, 'y')});
}

TEST_CASE("TLSA data stays raw") {
  const auto tlsa = std::get<std::vector<DnsTlsa>>(
      answer(decode(DnsPacket(question(DnsType::tlsa))
                        .answer("example.net", DnsType::tlsa, 60, std::string("\3\1\1\0\xab", 5)),
                    DnsType::tlsa))
          .records);
  REQUIRE(tlsa.size() == 1);
  CHECK(tlsa[0].usage == 3);
  CHECK(tlsa[0].selector == 1);
  CHECK(tlsa[0].matching_type == 1);
  CHECK(tlsa[0].data == std::string("\0\xab", 2));
}

TEST_CASE("records of other names, types and classes are not taken for the answer") {
  CHECK(std::holds_alternative<DnsNoRecord>(
      decode(DnsPacket(question(DnsType::a))
                 .answer("other.net", DnsType::a, 60, rdata::a("192.0.2.1"))
                 .answer("example.net", DnsType::txt, 60, rdata::txt({"x"})),
             DnsType::a)));
}

TEST_CASE("CNAMEs are followed within the packet, in any order and letter case") {
  const auto result = answer(decode(DnsPacket(question(DnsType::a))
                                        .answer("C.test", DnsType::a, 60, rdata::a("192.0.2.1"))
                                        .answer("b.test", kCname, 60, wire_name("c.TEST"))
                                        .answer("EXAMPLE.net", kCname, 60, wire_name("B.test")),
                                    DnsType::a));
  CHECK(result.canonical_name == "c.test");
  CHECK(std::get<Texts>(result.records) == Texts{"192.0.2.1"});
}

TEST_CASE("a CNAME that leaves the packet names the target to ask for") {
  const auto decoded =
      decode(DnsPacket(question(DnsType::a)).answer("example.net", kCname, 42, wire_name("b.test")),
             DnsType::a);
  REQUIRE(std::holds_alternative<DnsAlias>(decoded));
  CHECK(std::get<DnsAlias>(decoded).target == "b.test");
  CHECK(std::get<DnsAlias>(decoded).ttl == seconds(42));
}

TEST_CASE("a CNAME whose target has no record is an absence") {
  const auto absence = [](unsigned rcode) {
    const auto decoded = decode(DnsPacket(question(DnsType::a))
                                    .rcode(rcode)
                                    .answer("example.net", kCname, 42, wire_name("b.test"))
                                    .authority("test", kSoa, 900, rdata::soa(300)),
                                DnsType::a);
    REQUIRE(std::holds_alternative<DnsNoRecord>(decoded));
    return std::get<DnsNoRecord>(decoded);
  };
  CHECK(absence(0).name_exists);
  CHECK_FALSE(absence(3).name_exists);
  CHECK(absence(3).ttl == seconds(42));
}

TEST_CASE("a CNAME loop ends") {
  CHECK(failure(decode(DnsPacket(question(DnsType::a))
                           .answer("example.net", kCname, 42, wire_name("b.test"))
                           .answer("b.test", kCname, 42, wire_name("example.net")),
                       DnsType::a)) == "CNAME chain too long");
}

TEST_CASE("absences live as long as the SOA says (RFC 2308 §5)") {
  struct Row {
    unsigned rcode;
    std::uint32_t soa_ttl, minimum;
    bool name_exists;
    int ttl;
  };
  for (const Row& row : {Row{3, 900, 300, false, 300}, Row{3, 60, 300, false, 60},
                         Row{0, 900, 300, true, 300}, Row{0, 900, 0, true, 0}}) {
    const auto decoded =
        decode(DnsPacket(question(DnsType::txt))
                   .rcode(row.rcode)
                   .authority("example.net", kSoa, row.soa_ttl, rdata::soa(row.minimum)),
               DnsType::txt);
    REQUIRE(std::holds_alternative<DnsNoRecord>(decoded));
    CHECK(std::get<DnsNoRecord>(decoded).name_exists == row.name_exists);
    CHECK(std::get<DnsNoRecord>(decoded).ttl == seconds(row.ttl));
  }
  const auto bare = decode(DnsPacket(question(DnsType::txt)).rcode(3), DnsType::txt);
  REQUIRE(std::holds_alternative<DnsNoRecord>(bare));
  CHECK(std::get<DnsNoRecord>(bare).ttl == seconds(0));
}

TEST_CASE("a referral is no absence") {
  CHECK(
      failure(decode(
          DnsPacket(question(DnsType::mx)).authority("example.net", kNs, 900, wire_name("ns.test")),
          DnsType::mx)) == "referral instead of an answer");
}

TEST_CASE("error codes are failures, with or without the question") {
  CHECK(failure(decode(DnsPacket(question(DnsType::a)).rcode(2), DnsType::a)) == "SERVFAIL");
  CHECK(failure(decode(DnsPacket(question(DnsType::a)).rcode(5), DnsType::a)) == "REFUSED");
  CHECK(failure(decode(DnsPacket(question(DnsType::a)).rcode(9), DnsType::a)) == "RCODE 9");
  CHECK(failure(decode(DnsPacket(question(DnsType::a)).rcode(1).without_question(), DnsType::a)) ==
        "FORMERR");
  // BADVERS: the upper bits of the code are in the OPT record's TTL.
  const std::string opt = std::string(1, '\0') + support::be16(41) + support::be16(1232) +
                          support::be32(0x01000000) + support::be16(0);
  CHECK(failure(decode(DnsPacket(question(DnsType::a)).additional(opt), DnsType::a)) == "RCODE 16");
}

TEST_CASE("what is not the answer to this question does not match") {
  const DnsQuestion other_name{0x1234, "example.org", DnsType::a};
  const DnsQuestion other_type{0x1234, "example.net", DnsType::aaaa};
  for (const DnsPacket& packet :
       {DnsPacket(question(DnsType::a)).id(0x1235), DnsPacket(other_name), DnsPacket(other_type),
        DnsPacket(question(DnsType::a)).query(), DnsPacket(question(DnsType::a)).without_question(),
        DnsPacket(question(DnsType::a)).without_question().rcode(3)}) {
    CHECK(std::holds_alternative<DnsMismatch>(decode(packet, DnsType::a)));
  }
  CHECK(std::holds_alternative<DnsMismatch>(
      decode_answer(octets("\x12\x34"), question(DnsType::a), AdTrust::ignored)));
}

TEST_CASE("a truncated response is told from a malformed one") {
  const auto packet =
      DnsPacket(question(DnsType::a)).answer("example.net", DnsType::a, 60, rdata::a("192.0.2.1"));
  CHECK(std::holds_alternative<DnsTruncated>(decode(DnsPacket(packet).truncated(), DnsType::a)));
  const std::string whole = packet.bytes();
  for (std::size_t cut = whole.size() - 1; cut >= 12 + 13 + 4; --cut) {
    CAPTURE(cut);
    CHECK(std::holds_alternative<DnsMalformed>(
        decode_answer(octets(whole.substr(0, cut)), question(DnsType::a), AdTrust::ignored)));
  }
  CHECK(std::holds_alternative<DnsMalformed>(decode(
      DnsPacket(question(DnsType::a)).answer("example.net", DnsType::a, 60, "abc"), DnsType::a)));
}

TEST_CASE("compressed names are understood, and a pointer loop is malformed") {
  const std::string header = DnsPacket(question(DnsType::mx)).bytes().substr(0, 6) +
                             support::be16(1) + support::be16(0) + support::be16(0) +
                             wire_name("example.net") + support::be16(15) + support::be16(1);
  const std::string to_question = "\xc0\x0c";
  const std::string record = to_question + support::be16(15) + support::be16(1) + support::be32(60);
  const std::string data = support::be16(10) + "\x02mx" + to_question;
  const auto good = decode_answer(octets(header + record + support::be16(7) + data),
                                  question(DnsType::mx), AdTrust::ignored);
  CHECK(std::get<std::vector<DnsMx>>(answer(good).records).at(0).exchange == "mx.example.net");
  const std::string loop = "\xc0" + std::string(1, static_cast<char>(header.size()));
  CHECK(std::holds_alternative<DnsMalformed>(
      decode_answer(octets(header + loop + record.substr(2) + support::be16(7) + data),
                    question(DnsType::mx), AdTrust::ignored)));
}

TEST_CASE("the AD bit counts only when its sender is trusted") {
  const auto packet = DnsPacket(question(DnsType::a))
                          .authentic()
                          .answer("example.net", DnsType::a, 60, rdata::a("192.0.2.1"));
  CHECK(answer(decode(packet, DnsType::a, AdTrust::trusted)).dnssec == DnssecState::secure);
  CHECK(answer(decode(packet, DnsType::a, AdTrust::ignored)).dnssec == DnssecState::insecure);
  const auto absent =
      decode(DnsPacket(question(DnsType::a)).authentic().rcode(3), DnsType::a, AdTrust::trusted);
  CHECK(std::get<DnsNoRecord>(absent).dnssec == DnssecState::secure);
}

}  // namespace
