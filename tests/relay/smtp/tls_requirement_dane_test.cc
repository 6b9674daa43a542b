// Requirements that TLSA records or fingerprints are part of.
#include <memory>

#include <doctest/doctest.h>

#include "relay/smtp/tls_requirement.h"

namespace {

using relay::net::DaneMatch;
using relay::net::TlsOutcome;
using relay::smtp::TlsRequirement;

std::shared_ptr<const relay::net::DaneExpectation> records(char octet) {
  return std::make_shared<const relay::net::DaneExpectation>(
      relay::net::DaneExpectation{{{3, 1, 1, std::string(32, octet)}},
                                  {relay::net::DomainName::parse("mx1.example.net").value()}});
}

TlsOutcome session(DaneMatch match, const std::string& fingerprint = {}) {
  relay::net::TlsUnverified unverified;
  unverified.faults = {{relay::net::CertificateFaultKind::not_trusted, "X509_V_ERR_X"}};
  unverified.parameters.dane = match;
  unverified.parameters.key_sha256 = fingerprint;
  return unverified;
}

TEST_CASE("dane: only a matching certificate meets it, whatever its chain proves") {
  const auto dane = TlsRequirement::encrypted().with_dane(records('a'));
  CHECK(dane.name() == "dane");
  CHECK(dane.met_by(session(DaneMatch::matched)));
  for (const DaneMatch match :
       {DaneMatch::no_match, DaneMatch::chain_faults, DaneMatch::not_asked}) {
    CHECK_FALSE(dane.met_by(session(match)));
  }
  CHECK_FALSE(dane.met_by(relay::net::TlsNotOffered{"not-advertised"}));
  CHECK_FALSE(dane.after_failed_handshake().has_value());
  CHECK_FALSE(
      TlsRequirement::verified().with_dane(records('a')).met_by(session(DaneMatch::matched)));
}

TEST_CASE("opportunistic: TLSA records are looked at, not demanded") {
  const auto watching = TlsRequirement::opportunistic().with_dane(records('a'));
  CHECK(watching.met_by(session(DaneMatch::no_match)));
  CHECK(watching.dane() != nullptr);
  CHECK(watching.after_failed_handshake()->dane() == nullptr);
}

TEST_CASE("fingerprint: certificate or key must be a listed one") {
  const auto pinned = TlsRequirement::opportunistic().with_fingerprints(
      std::make_shared<const TlsRequirement::Fingerprints>(TlsRequirement::Fingerprints{"ab"}));
  CHECK(pinned.name() == "fingerprint");
  CHECK(pinned.met_by(session(DaneMatch::not_asked, "ab")));
  CHECK_FALSE(pinned.met_by(session(DaneMatch::not_asked, "cd")));
  CHECK_FALSE(pinned.met_by(session(DaneMatch::not_asked)));
}

TEST_CASE("sessions are interchangeable only for equal records") {
  const auto level = TlsRequirement::encrypted();
  CHECK(level.with_dane(records('a')) == level.with_dane(records('a')));
  CHECK_FALSE(level.with_dane(records('a')) == level.with_dane(records('b')));
  CHECK_FALSE(level.with_dane(records('a')) == level);
}

TEST_CASE("plaintext is asked for by name only") {
  CHECK_FALSE(TlsRequirement::plaintext().uses_tls());
  CHECK(TlsRequirement::plaintext().met_by(relay::net::TlsNotOffered{"not-advertised"}));
}

}  // namespace
