#include "sts/enforcement.h"

#include <doctest/doctest.h>

namespace {

sts::Policy policy(const std::string& mode) {
  auto parsed =
      sts::parse_policy("version: STSv1\nmode: " + mode + "\nmx: *.example.net\nmax_age: 86400\n",
                        sts::Strictness::strict);
  REQUIRE(parsed.policy);
  return *parsed.policy;
}

}  // namespace

TEST_CASE("what a policy asks of a host, by mode (RFC 8461 5)") {
  using sts::Admission;
  using sts::RequiredTls;
  struct Row {
    std::string mode;
    Admission covered, foreign;
    RequiredTls tls;
  };
  for (const auto& [mode, covered, foreign, tls] :
       {Row{"enforce", Admission::admit, Admission::refuse, RequiredTls::verified},
        Row{"testing", Admission::admit, Admission::admit_and_report, RequiredTls::opportunistic},
        Row{"none", Admission::admit, Admission::admit, RequiredTls::opportunistic}}) {
    CAPTURE(mode);
    const sts::Policy asked = policy(mode);
    CHECK(sts::admit_host(&asked, "mx.example.net") == covered);
    CHECK(sts::admit_host(&asked, "mx.example.org") == foreign);
    CHECK(sts::required_tls(&asked) == tls);
  }
}

TEST_CASE("without a policy every host is admitted and TLS is opportunistic") {
  CHECK(sts::admit_host(nullptr, "mx.example.org") == sts::Admission::admit);
  CHECK(sts::required_tls(nullptr) == sts::RequiredTls::opportunistic);
}

TEST_CASE("A09, A10: the implicit MX host is the domain itself and must be covered too") {
  const sts::Policy asked = policy("enforce");
  CHECK(sts::admit_host(&asked, "example.net") == sts::Admission::refuse);
}
