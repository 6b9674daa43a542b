#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "relay/net/dane.h"
#include "relay/net/tls_client.h"
#include "tests/relay/net/tls_fixture.h"
#include "tests/relay/net/tlsa_of.h"

namespace {

using relay::net::DaneExpectation;
using relay::net::DaneMatch;
using relay::net::DnsTlsa;
using relay::net::DomainName;
using relay::net::TlsClientOptions;
using relay::net::TlsFloor;
using relay::net::TlsOutcome;
using relay::net::TlsSessionCache;
using std::chrono::hours;
using support::Certificate;
using support::CertificateRequest;
using support::kHost;
using support::new_authority;
using support::options_for;
using support::parameters_of;
using support::shake_hands;
using support::text_of;
using support::tlsa_of;
using support::TlsServer;
using support::trusting;
using Use = CertificateRequest::Use;

std::shared_ptr<const DaneExpectation> expecting(std::vector<DnsTlsa> records,
                                                 const std::vector<std::string>& names = {kHost}) {
  auto expectation = std::make_shared<DaneExpectation>(DaneExpectation{std::move(records), {}});
  for (const auto& name : names) {
    expectation->reference_names.push_back(*DomainName::parse(name));
  }
  return expectation;
}

TlsClientOptions with(std::shared_ptr<const DaneExpectation> expectation,
                      TlsSessionCache* sessions = nullptr) {
  TlsClientOptions options = options_for(kHost, TlsFloor::tls12, sessions);
  options.dane = std::move(expectation);
  return options;
}

/// "matched", "no match", "faults: expired:CERT_HAS_EXPIRED …"
std::string dane_of(const TlsOutcome& outcome) {
  const auto parameters = parameters_of(outcome);
  switch (parameters.dane) {
    case DaneMatch::not_asked:
      return "not asked";
    case DaneMatch::matched:
      return "matched";
    case DaneMatch::no_match:
      return "no match";
    case DaneMatch::chain_faults:
      break;
  }
  return "faults" + text_of(relay::net::TlsUnverified{{}, parameters.dane_faults}).substr(10);
}

/// One handshake with a server that shows leaf and chain, by a client that trusts another CA.
std::string dane_verdict(const Certificate& leaf, const std::vector<Certificate>& chain,
                         std::shared_ptr<const DaneExpectation> expectation) {
  const TlsServer server(leaf, {.intermediates = chain});
  static const auto kStranger = new_authority();
  return dane_of(shake_hands(server.address(), *trusting(kStranger), with(std::move(expectation))));
}

const CertificateRequest kExpired{
    .dns_names = {kHost}, .valid_from = -hours(9), .valid_until = -hours(1)};
const CertificateRequest kMisnamed{.dns_names = {"other.example"}};

TEST_CASE("DANE-EE: the end-entity certificate matches in every selector and matching type") {
  struct Row {
    int selector, matching_type;
  };
  const auto leaf = new_authority().issue({.dns_names = {kHost}});
  const auto other = new_authority().issue({.dns_names = {kHost}});
  for (const Row& row : {Row{0, 0}, Row{0, 1}, Row{0, 2}, Row{1, 0}, Row{1, 1}, Row{1, 2}}) {
    CAPTURE(row.selector);
    CAPTURE(row.matching_type);
    CHECK(dane_verdict(leaf, {}, expecting({tlsa_of(leaf, 3, row.selector, row.matching_type)})) ==
          "matched");
    CHECK(dane_verdict(leaf, {}, expecting({tlsa_of(other, 3, row.selector, row.matching_type)})) ==
          "no match");
  }
}

TEST_CASE("DANE-EE: names, dates and chain do not count (RFC 7672 §3.1.1)") {
  const auto authority = new_authority();
  const auto own = Certificate::self_signed(kMisnamed);
  for (const auto& leaf : {authority.issue(kExpired), authority.issue(kMisnamed),
                           authority.issue({.dns_names = {kHost}, .valid_from = hours(1)}),
                           authority.issue({}), own}) {
    CHECK(dane_verdict(leaf, {}, expecting({tlsa_of(leaf, 3, 1, 1)})) == "matched");
  }
  // A record for the issuer is not one for the leaf.
  CHECK(dane_verdict(authority.issue({.dns_names = {kHost}}), {authority},
                     expecting({tlsa_of(authority, 3, 1, 1)})) == "no match");
}

TEST_CASE(
    "DANE-TA: the chain must lead to the anchor and name one of the names (RFC 7672 §3.1.2)") {
  const auto root = new_authority();
  const auto sub = root.issue({.common_name = "Sub", .use = Use::authority});
  const auto good = sub.issue({.dns_names = {kHost}});
  const auto expired_sub = root.issue({.common_name = "Old",
                                       .use = Use::authority,
                                       .valid_from = -hours(9),
                                       .valid_until = -hours(1)});
  const auto other_root = new_authority();
  struct Row {
    const char* name;
    Certificate leaf;
    std::vector<Certificate> chain;
    std::vector<DnsTlsa> records;
    const char* expected;
  };
  const std::vector<Certificate> both = {sub, root};
  const std::string mismatch = "faults mismatch:HOSTNAME_MISMATCH";
  for (const Row& row : std::vector<Row>{
           {"2 0 1 root", good, both, {tlsa_of(root, 2, 0, 1)}, "matched"},
           {"2 1 1 root", good, both, {tlsa_of(root, 2, 1, 1)}, "matched"},
           {"2 1 2 root", good, both, {tlsa_of(root, 2, 1, 2)}, "matched"},
           {"2 0 1 intermediate, root not sent", good, {sub}, {tlsa_of(sub, 2, 0, 1)}, "matched"},
           {"2 1 1 intermediate, root sent", good, both, {tlsa_of(sub, 2, 1, 1)}, "matched"},
           {"2 0 0 intermediate", good, {sub}, {tlsa_of(sub, 2, 0, 0)}, "matched"},
           {"2 0 0 root, not sent", good, {sub}, {tlsa_of(root, 2, 0, 0)}, "matched"},
           {"2 0 0 intermediate, not sent", good, {}, {tlsa_of(sub, 2, 0, 0)}, "matched"},
           {"2 1 0 root key, not sent", good, {sub}, {tlsa_of(root, 2, 1, 0)}, "matched"},
           {"2 1 1 root, not sent", good, {sub}, {tlsa_of(root, 2, 1, 1)}, "no match"},
           {"2 0 1 another root", good, both, {tlsa_of(other_root, 2, 0, 1)}, "no match"},
           {"2 1 1 another root", good, both, {tlsa_of(other_root, 2, 1, 1)}, "no match"},
           {"2 0 0 another root", good, both, {tlsa_of(other_root, 2, 0, 0)}, "no match"},
           {"2 1 0 another root", good, both, {tlsa_of(other_root, 2, 1, 0)}, "no match"},
           {"2 1 1 the leaf itself", good, both, {tlsa_of(good, 2, 1, 1)}, "no match"},
           {"an anchor that is sent but did not sign",
            good,
            {sub, root, other_root},
            {tlsa_of(other_root, 2, 1, 1)},
            "no match"},
           {"misnamed", sub.issue(kMisnamed), both, {tlsa_of(root, 2, 1, 1)}, mismatch.c_str()},
           {"the name as CN only",
            sub.issue({.common_name = kHost}),
            both,
            {tlsa_of(root, 2, 1, 1)},
            mismatch.c_str()},
           {"a whole left-most label",
            sub.issue({.dns_names = {"*.example.com"}}),
            both,
            {tlsa_of(root, 2, 1, 1)},
            "matched"},
           {"a partial wildcard",
            sub.issue({.dns_names = {"m*.example.com"}}),
            both,
            {tlsa_of(root, 2, 1, 1)},
            mismatch.c_str()},
           {"expired",
            sub.issue(kExpired),
            both,
            {tlsa_of(root, 2, 1, 1)},
            "faults expired:CERT_HAS_EXPIRED"},
           {"expired intermediate",
            expired_sub.issue({.dns_names = {kHost}}),
            {expired_sub},
            {tlsa_of(root, 2, 0, 0)},
            "faults expired:CERT_HAS_EXPIRED@depth1"},
           {"for clients only",
            sub.issue({.dns_names = {kHost}, .use = Use::client}),
            both,
            {tlsa_of(root, 2, 1, 1)},
            "faults untrusted:INVALID_PURPOSE"},
       }) {
    CAPTURE(row.name);
    CHECK(dane_verdict(row.leaf, row.chain, expecting(row.records)) == row.expected);
  }
}

TEST_CASE("DANE-TA: any reference name will do, whichever name is sent as SNI (RFC 7672 §8.1)") {
  const auto root = new_authority();
  const TlsServer server(root.issue({.dns_names = {"example.net"}}), {.intermediates = {root}});
  const auto expectation = expecting({tlsa_of(root, 2, 1, 1)}, {"base.example", "example.net"});
  for (const char* const name : {"base.example", "example.net", kHost}) {
    TlsClientOptions options = with(expectation);
    options.server_name = *DomainName::parse(name);
    const auto outcome = shake_hands(server.address(), *trusting(root), options);
    CHECK(dane_of(outcome) == "matched");
    CHECK(text_of(outcome) == "unverified mismatch:HOSTNAME_MISMATCH");
    CHECK(server.last_name() == name);
  }
}

TEST_CASE("one matching record is enough") {
  const auto root = new_authority();
  const auto other = new_authority();
  const auto leaf = root.issue({.dns_names = {kHost}});
  const auto expired = root.issue(kExpired);
  CHECK(dane_verdict(leaf, {root},
                     expecting({tlsa_of(other, 3, 1, 1), tlsa_of(leaf, 3, 1, 1),
                                tlsa_of(other, 2, 1, 1)})) == "matched");
  CHECK(dane_verdict(leaf, {root}, expecting({tlsa_of(other, 3, 1, 1), tlsa_of(root, 2, 0, 1)})) ==
        "matched");
  // The expired leaf fails as DANE-TA and is good as DANE-EE.
  CHECK(dane_verdict(expired, {root},
                     expecting({tlsa_of(root, 2, 0, 1), tlsa_of(expired, 3, 0, 1)})) == "matched");
  CHECK(
      dane_verdict(expired, {root}, expecting({tlsa_of(root, 2, 0, 1), tlsa_of(other, 3, 0, 1)})) ==
      "faults expired:CERT_HAS_EXPIRED");
}

TEST_CASE("a record that OpenSSL cannot use matches nothing and hinders no other") {
  const auto leaf = new_authority().issue({.dns_names = {kHost}});
  const auto good = tlsa_of(leaf, 3, 1, 1);
  for (const DnsTlsa& bad : {DnsTlsa{3, 1, 1, "short"}, DnsTlsa{3, 1, 7, good.data},
                             DnsTlsa{3, 9, 1, good.data}, DnsTlsa{3, 0, 0, "no certificate"},
                             DnsTlsa{2, 1, 0, "no key"}, DnsTlsa{9, 1, 1, good.data}}) {
    CAPTURE(relay::net::text(bad));
    CHECK(dane_verdict(leaf, {}, expecting({bad})) == "no match");
    CHECK(dane_verdict(leaf, {}, expecting({bad, good})) == "matched");
  }
}

TEST_CASE("both verdicts of one handshake stand beside each other") {
  const auto root = new_authority();
  const auto good = root.issue({.dns_names = {kHost}});
  const auto expired = root.issue(kExpired);
  const auto known = trusting(root);
  const TlsServer good_server(good, {});
  const TlsServer expired_server(expired, {});
  const auto matched =
      shake_hands(good_server.address(), *known, with(expecting({tlsa_of(good, 3, 1, 1)})));
  CHECK(text_of(matched) + " " + dane_of(matched) == "verified matched");
  const auto unmatched =
      shake_hands(good_server.address(), *known, with(expecting({tlsa_of(expired, 3, 1, 1)})));
  CHECK(text_of(unmatched) + " " + dane_of(unmatched) == "verified no match");
  const auto old =
      shake_hands(expired_server.address(), *known, with(expecting({tlsa_of(expired, 3, 1, 1)})));
  CHECK(text_of(old) + ", " + dane_of(old) == "unverified expired:CERT_HAS_EXPIRED, matched");
  const auto plain = shake_hands(good_server.address(), *known, with(nullptr));
  CHECK(text_of(plain) + " " + dane_of(plain) == "verified not asked");
  // A target without a name of its own has the base domain's.
  TlsClientOptions nameless = with(expecting({tlsa_of(good, 3, 1, 1)}));
  nameless.reference_name.reset();
  const auto by_address = shake_hands(good_server.address(), *known, nameless);
  CHECK(text_of(by_address) + ", " + dane_of(by_address) ==
        "unverified untrusted:no-reference-name, matched");
  CHECK(good_server.last_name() == kHost);
}

std::string hex(const std::string& bytes) {
  std::string digits;
  for (const char c : bytes) {
    constexpr const char* kDigits = "0123456789abcdef";
    digits += kDigits[static_cast<unsigned char>(c) >> 4U];
    digits += kDigits[static_cast<unsigned char>(c) & 0xfU];
  }
  return digits;
}

TEST_CASE("fingerprints are of the leaf's certificate and of its key") {
  const auto root = new_authority();
  const auto leaf = root.issue({.dns_names = {kHost}});
  const TlsServer server(leaf, {.intermediates = {root}});
  const auto parameters =
      parameters_of(shake_hands(server.address(), *trusting(root), options_for(kHost)));
  CHECK(parameters.certificate_sha256 == hex(tlsa_of(leaf, 3, 0, 1).data));
  CHECK(parameters.key_sha256 == hex(tlsa_of(leaf, 3, 1, 1).data));
}

TEST_CASE("a resumed session keeps the verdict by records and the fingerprints") {
  const auto root = new_authority();
  const auto leaf = root.issue({.dns_names = {"other.example"}});
  const auto context = trusting(root);
  struct Row {
    DnsTlsa record;
    const char* expected;
  };
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    const TlsServer server(leaf, {.newest_version = version, .intermediates = {root}});
    for (const Row& row :
         {Row{tlsa_of(leaf, 3, 1, 1), "matched"}, Row{tlsa_of(root, 3, 1, 1), "no match"},
          Row{tlsa_of(root, 2, 1, 1), "faults mismatch:HOSTNAME_MISMATCH"}}) {
      TlsSessionCache sessions(10);
      const auto options = with(expecting({row.record}), &sessions);
      const auto first = shake_hands(server.address(), *context, options);
      CHECK(dane_of(first) == row.expected);
      CHECK_FALSE(parameters_of(first).resumed);
      for (int i = 0; i < 3; ++i) {
        const auto next = shake_hands(server.address(), *context, options);
        CHECK(parameters_of(next).resumed);
        CHECK(text_of(next) + dane_of(next) == text_of(first) + dane_of(first));
        CHECK(parameters_of(next).certificate_sha256 == parameters_of(first).certificate_sha256);
        CHECK(parameters_of(next).key_sha256 == parameters_of(first).key_sha256);
      }
      // Other records, or none, are another verdict: nothing is resumed.
      CHECK_FALSE(
          parameters_of(shake_hands(server.address(), *context,
                                    with(expecting({{3, 1, 1, std::string(32, 'x')}}), &sessions)))
              .resumed);
      CHECK_FALSE(
          parameters_of(shake_hands(server.address(), *context, with(nullptr, &sessions))).resumed);
    }
  }
}

}  // namespace
