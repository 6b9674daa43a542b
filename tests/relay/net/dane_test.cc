#include "relay/net/dane.h"

#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/net/certificates.h"
#include "tests/relay/net/tlsa_of.h"

namespace {

using relay::net::DaneExpectation;
using relay::net::DnsTlsa;
using relay::net::DomainName;
using support::tlsa_of;

std::string texts(const std::vector<DnsTlsa>& records) {
  std::string all;
  for (const auto& record : records) {
    all += (all.empty() ? "" : ", ") + relay::net::text(record);
  }
  return all;
}

DaneExpectation expecting(std::vector<DnsTlsa> records, const std::vector<std::string>& names) {
  DaneExpectation expectation{std::move(records), {}};
  for (const auto& name : names) {
    expectation.reference_names.push_back(*DomainName::parse(name));
  }
  return expectation;
}

TEST_CASE("only complete records of usages 2 and 3 are usable for SMTP (RFC 7672 §3.1.3)") {
  const std::string digest32(32, 'x');
  const std::string digest64(64, 'x');
  const auto certificate = support::Certificate::self_signed({.dns_names = {"mx.example"}});
  const std::string whole = support::certificate_der(certificate);
  const std::string key = support::key_der(certificate);
  struct Row {
    DnsTlsa record;
    bool usable;
  };
  for (const Row& row : std::vector<Row>{
           {{3, 1, 1, digest32}, true},
           {{3, 0, 1, digest32}, true},
           {{2, 0, 1, digest32}, true},
           {{2, 1, 2, digest64}, true},
           {{3, 0, 0, whole}, true},
           {{3, 1, 0, key}, true},
           {{2, 0, 0, whole}, true},
           {{2, 1, 0, key}, true},
           {{0, 1, 1, digest32}, false},
           {{1, 1, 1, digest32}, false},
           {{4, 1, 1, digest32}, false},
           {{255, 1, 1, digest32}, false},
           {{3, 2, 1, digest32}, false},
           {{3, 1, 3, digest32}, false},
           {{3, 1, 255, digest32}, false},
           {{3, 1, 1, ""}, false},
           {{3, 1, 1, digest64}, false},
           {{3, 1, 2, digest32}, false},
           {{3, 1, 1, digest32 + "x"}, false},
           {{3, 0, 0, ""}, false},
           {{3, 0, 0, key}, false},
           {{3, 1, 0, whole}, false},
           {{3, 0, 0, whole + "x"}, false},
           {{2, 0, 0, whole.substr(0, whole.size() - 1)}, false},
           {{2, 1, 0, digest32}, false},
       }) {
    CAPTURE(relay::net::text(row.record));
    CHECK(relay::net::usable(row.record) == row.usable);
  }
}

TEST_CASE("per usage and selector only the strongest digest counts (RFC 7671 §9)") {
  const DnsTlsa ee1{3, 1, 1, "\x01"};
  const DnsTlsa ee1_other{3, 1, 1, "\x02"};
  const DnsTlsa ee2{3, 1, 2, "\x03"};
  const DnsTlsa ee0{3, 1, 0, "\x04"};
  const DnsTlsa certificate1{3, 0, 1, "\x05"};
  const DnsTlsa anchor1{2, 1, 1, "\x06"};
  struct Row {
    std::vector<DnsTlsa> given;
    std::string expected;
  };
  for (const Row& row : std::vector<Row>{
           {{}, ""},
           {{ee1, ee1_other}, "3 1 1 01, 3 1 1 02"},
           {{ee1, ee2, ee1_other}, "3 1 2 03"},
           {{ee0, ee1}, "3 1 0 04, 3 1 1 01"},
           {{ee0, ee1, ee2}, "3 1 0 04, 3 1 2 03"},
           {{certificate1, ee1, ee2, anchor1}, "3 0 1 05, 3 1 2 03, 2 1 1 06"},
       }) {
    CHECK(texts(relay::net::strongest_digests(row.given)) == row.expected);
  }
}

TEST_CASE("a record is written as in a zone file") {
  CHECK(relay::net::text({3, 1, 1, std::string("\x00\xab\x0f", 3)}) == "3 1 1 00AB0F");
  CHECK(relay::net::text({255, 0, 2, ""}) == "255 0 2 ");
}

TEST_CASE("equal expectations have equal digests, whatever the order of their records") {
  const DnsTlsa one{3, 1, 1, "one"};
  const DnsTlsa two{2, 1, 1, "two"};
  const auto digest = expecting({one, two}, {"mx.example", "example"}).digest();
  CHECK(digest.size() == 32);
  CHECK(expecting({two, one}, {"mx.example", "example"}).digest() == digest);
  CHECK(expecting({one}, {"mx.example", "example"}).digest() != digest);
  CHECK(expecting({one, two}, {"example", "mx.example"}).digest() != digest);
  CHECK(expecting({one, two}, {"mx.example"}).digest() != digest);
  CHECK(expecting({{3, 1, 2, "one"}, two}, {"mx.example", "example"}).digest() != digest);
}

}  // namespace
