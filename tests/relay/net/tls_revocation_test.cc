#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/net/dane.h"
#include "relay/net/tls_client.h"
#include "tests/relay/net/staples.h"
#include "tests/relay/net/tls_fixture.h"
#include "tests/relay/net/tlsa_of.h"

namespace {

using relay::net::DaneExpectation;
using relay::net::DaneMatch;
using relay::net::DnsTlsa;
using relay::net::DomainName;
using relay::net::Revocation;
using relay::net::TlsFloor;
using relay::net::TlsSessionCache;
using std::chrono::hours;
using support::Certificate;
using support::CertificateRequest;
using support::kHost;
using support::make_staple;
using support::new_authority;
using support::options_for;
using support::parameters_of;
using support::shake_hands;
using support::StapleRequest;
using support::text_of;
using support::tlsa_of;
using support::TlsServer;
using support::trusting;
using Status = StapleRequest::Status;
using Use = CertificateRequest::Use;

const StapleRequest kGood{.status = Status::good};
const StapleRequest kRevoked{.status = Status::revoked};
const CertificateRequest kPlain{.dns_names = {kHost}};
const CertificateRequest kPromising{.dns_names = {kHost}, .must_staple = true};

struct Row {
  const char* name;
  std::string staple;
  const char* finding;
  const char* verdict;           ///< of a certificate that promises nothing
  const char* promised_verdict;  ///< of one that promises a staple
};

/// What a server may staple for leaf, which authority issued.
std::vector<Row> staples_for(const Certificate& leaf, const Certificate& authority) {
  const auto by = [&](const Certificate& signer, const StapleRequest& request) {
    return make_staple(leaf, authority, signer, request);
  };
  const auto stranger = new_authority();
  const auto responder = authority.issue({.use = Use::ocsp_responder});
  const auto old_responder = authority.issue(
      {.use = Use::ocsp_responder, .valid_from = -hours(9), .valid_until = -hours(1)});
  constexpr const char* kVerified = "verified";
  constexpr const char* kRevokedFault = "unverified untrusted:CERT_REVOKED";
  constexpr const char* kMissing = "unverified untrusted:OCSP_VERIFY_NEEDED";
  constexpr const char* kUnknown = "unverified untrusted:OCSP_CERT_UNKNOWN";
  constexpr const char* kUseless = "unverified untrusted:OCSP_VERIFY_FAILED";
  return {
      {"none", "", "", kVerified, kMissing},
      {"good", by(authority, kGood), "good", kVerified, kVerified},
      {"good by responder", by(responder, kGood), "good", kVerified, kVerified},
      {"revoked", by(authority, kRevoked), "revoked", kRevokedFault, kRevokedFault},
      {"revoked by responder", by(responder, kRevoked), "revoked", kRevokedFault, kRevokedFault},
      {"unknown", by(authority, {.status = Status::unknown}), "unknown", kVerified, kUnknown},
      {"over", by(authority, {Status::revoked, -hours(9), -hours(1)}), "out-of-date", kVerified,
       kUseless},
      {"of clocks that differ",
       by(authority, {Status::revoked, std::chrono::seconds(60), hours(9)}), "revoked",
       kRevokedFault, kRevokedFault},
      {"not yet", by(authority, {Status::revoked, hours(1), hours(9)}), "out-of-date", kVerified,
       kUseless},
      {"young without an end", by(authority, {Status::good, -hours(24 * 9), std::nullopt}), "good",
       kVerified, kVerified},
      {"old without an end", by(authority, {Status::good, -hours(24 * 11), std::nullopt}),
       "out-of-date", kVerified, kUseless},
      {"of another certificate",
       make_staple(authority.issue(kPlain), authority, authority, kRevoked), "other-certificate",
       kVerified, kUseless},
      {"of another authority", make_staple(leaf, stranger, stranger, kRevoked), "other-certificate",
       kVerified, kUseless},
      {"by a stranger", by(stranger, kRevoked), "not-authentic", kVerified, kUseless},
      {"by a stranger's responder", by(stranger.issue({.use = Use::ocsp_responder}), kRevoked),
       "not-authentic", kVerified, kUseless},
      {"by another server", by(authority.issue(kPlain), kGood), "not-authentic", kVerified,
       kUseless},
      {"by the server itself", by(leaf, kGood), "not-authentic", kVerified, kUseless},
      {"by an expired responder", by(old_responder, kGood), "not-authentic", kVerified, kUseless},
      {"not an answer", support::no_answer(), "no-answer", kVerified, kUseless},
      {"not a response", "staple", "malformed", kVerified, kUseless},
  };
}

TEST_CASE("what a staple proves about the certificate, and what it has to prove (RFC 7633)") {
  const auto authority = new_authority();
  const auto context = trusting(authority);
  for (const CertificateRequest& request : {kPlain, kPromising}) {
    CAPTURE(request.must_staple);
    const auto leaf = authority.issue(request);
    for (const Row& row : staples_for(leaf, authority)) {
      CAPTURE(row.name);
      for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        CAPTURE(version);
        const TlsServer server(leaf, {.newest_version = version, .staple = row.staple});
        const auto outcome = shake_hands(server.address(), *context, options_for(kHost));
        CHECK(text_of(outcome) == (request.must_staple ? row.promised_verdict : row.verdict));
        CHECK(parameters_of(outcome).staple == row.finding);
        CHECK(server.stapler().asked() == 1);
      }
    }
  }
}

TEST_CASE("a response with a spoilt signature proves nothing") {
  const auto authority = new_authority();
  const auto leaf = authority.issue(kPlain);
  const std::string whole = make_staple(leaf, authority, authority, kRevoked);
  const auto context = trusting(authority);
  const auto finding = [&](const std::string& staple) {
    const TlsServer server(leaf, {.staple = staple});
    const auto outcome = shake_hands(server.address(), *context, options_for(kHost));
    return text_of(outcome) + " " + parameters_of(outcome).staple;
  };
  CHECK(finding(whole) == "unverified untrusted:CERT_REVOKED revoked");
  std::string spoilt = whole;
  // The reason of the revocation, which is signed: keyCompromise becomes cACompromise.
  const std::size_t reason = spoilt.find(std::string("\xa0\x03\x0a\x01\x01", 5));
  REQUIRE(reason != std::string::npos);
  spoilt.at(reason + 4) = '\x02';
  CHECK(finding(spoilt) == "verified not-authentic");
  CHECK(finding(whole + "more") == "verified malformed");
  CHECK(finding(whole.substr(0, whole.size() - 1)) == "verified malformed");
}

TEST_CASE("revocation off: no staple is asked for and none is missed") {
  const auto authority = new_authority();
  const auto context = trusting(authority, Revocation::off);
  const auto leaf = authority.issue(kPromising);
  const TlsServer server(leaf, {.staple = make_staple(leaf, authority, authority, kRevoked)});
  const auto outcome = shake_hands(server.address(), *context, options_for(kHost));
  CHECK(text_of(outcome) == "verified");
  CHECK(parameters_of(outcome).staple.empty());
  CHECK(server.stapler().asked() == 0);
}

TEST_CASE("only the authority that issued the certificate revokes it, not the one above") {
  const auto root = new_authority();
  const auto sub = root.issue({.common_name = "Sub", .use = Use::authority});
  const auto leaf = sub.issue(kPlain);
  const auto context = trusting(root);
  const auto verdict = [&](const Certificate& issuer, const Certificate& signer) {
    const TlsServer server(
        leaf, {.intermediates = {sub}, .staple = make_staple(leaf, issuer, signer, kRevoked)});
    return text_of(shake_hands(server.address(), *context, options_for(kHost)));
  };
  CHECK(verdict(sub, sub) == "unverified untrusted:CERT_REVOKED");
  CHECK(verdict(sub, sub.issue({.use = Use::ocsp_responder})) ==
        "unverified untrusted:CERT_REVOKED");
  CHECK(verdict(sub, root) == "verified");
  CHECK(verdict(sub, root.issue({.use = Use::ocsp_responder})) == "verified");
  CHECK(verdict(root, root) == "verified");
}

TEST_CASE("revocation comes after the other faults, and cannot be judged without an issuer") {
  const auto authority = new_authority();
  const auto other = authority.issue({.dns_names = {"other.example"}});
  const TlsServer named(other, {.staple = make_staple(other, authority, authority, kRevoked)});
  CHECK(text_of(shake_hands(named.address(), *trusting(authority), options_for(kHost))) ==
        "unverified mismatch:HOSTNAME_MISMATCH untrusted:CERT_REVOKED");
  const auto leaf = authority.issue(kPromising);
  const TlsServer unknown(leaf, {.staple = make_staple(leaf, authority, authority, kGood)});
  const auto outcome =
      shake_hands(unknown.address(), *trusting(new_authority()), options_for(kHost));
  CHECK(text_of(outcome) ==
        "unverified untrusted:UNABLE_TO_GET_ISSUER_CERT_LOCALLY untrusted:OCSP_VERIFY_FAILED");
  CHECK(parameters_of(outcome).staple == "no-issuer");
}

TEST_CASE("a resumed session keeps the verdict on revocation, and misses no staple of its own") {
  const auto authority = new_authority();
  const auto context = trusting(authority);
  const auto leaf = authority.issue(kPromising);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    for (const StapleRequest& request : {kGood, kRevoked}) {
      const TlsServer server(leaf, {.newest_version = version,
                                    .staple = make_staple(leaf, authority, authority, request)});
      TlsSessionCache sessions(10);
      const auto options = options_for(kHost, TlsFloor::tls12, &sessions);
      const auto first = shake_hands(server.address(), *context, options);
      CHECK_FALSE(parameters_of(first).resumed);
      CHECK(text_of(first) ==
            (request.status == Status::good ? "verified" : "unverified untrusted:CERT_REVOKED"));
      const auto next = shake_hands(server.address(), *context, options);
      CHECK(parameters_of(next).resumed);
      CHECK(text_of(next) == text_of(first));
    }
  }
}

TEST_CASE("DANE: a staple counts below a DANE-TA record, not beside a DANE-EE one") {
  const auto authority = new_authority();
  const auto leaf = authority.issue(kPromising);
  const auto dane_of = [&](const DnsTlsa& record, const std::string& staple, int version) {
    const TlsServer server(
        leaf, {.newest_version = version, .intermediates = {authority}, .staple = staple});
    auto options = options_for(kHost);
    options.dane =
        std::make_shared<DaneExpectation>(DaneExpectation{{record}, {*DomainName::parse(kHost)}});
    // Trust anchors do not know the authority.
    const auto parameters =
        parameters_of(shake_hands(server.address(), *trusting(new_authority()), options));
    std::string text = parameters.dane == DaneMatch::matched ? "matched" : "";
    text += parameters.dane == DaneMatch::no_match ? "no match" : "";
    for (const auto& fault : parameters.dane_faults) {
      text += fault.code;
    }
    return text;
  };
  const std::string good = make_staple(leaf, authority, authority, kGood);
  const std::string revoked = make_staple(leaf, authority, authority, kRevoked);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    const auto anchor = tlsa_of(authority, 2, 0, 1);
    CHECK(dane_of(anchor, good, version) == "matched");
    CHECK(dane_of(anchor, revoked, version) == "X509_V_ERR_CERT_REVOKED");
    CHECK(dane_of(anchor, "", version) == "X509_V_ERR_OCSP_VERIFY_NEEDED");
    const auto key = tlsa_of(leaf, 3, 1, 1);
    CHECK(dane_of(key, revoked, version) == "matched");
    CHECK(dane_of(key, "", version) == "matched");
    CHECK(dane_of(tlsa_of(authority, 3, 1, 1), revoked, version) == "no match");
  }
}

}  // namespace
