#include "relay/smtp/tls_requirement.h"

#include <doctest/doctest.h>

using relay::net::CertificateFault;
using relay::net::CertificateFaultKind;
using relay::net::TlsFailed;
using relay::net::TlsNotOffered;
using relay::net::TlsOutcome;
using relay::net::TlsUnverified;
using relay::net::TlsVerified;
using relay::smtp::TlsRequirement;

TEST_CASE("each requirement is met by exactly the outcomes that satisfy it") {
  const TlsOutcome not_offered = TlsNotOffered{"not-advertised"};
  const TlsOutcome failed = TlsFailed{"tls-alert-40"};
  const TlsOutcome unverified =
      TlsUnverified{{}, {CertificateFault{CertificateFaultKind::expired, "X"}}};
  const TlsOutcome verified = TlsVerified{{}};

  const auto strict = TlsRequirement::verified();
  CHECK(strict.met_by(verified));
  CHECK_FALSE(strict.met_by(unverified));
  CHECK_FALSE(strict.met_by(failed));
  CHECK_FALSE(strict.met_by(not_offered));

  const auto any = TlsRequirement::opportunistic();
  CHECK(any.met_by(verified));
  CHECK(any.met_by(unverified));
  CHECK_FALSE(any.met_by(failed));
  CHECK(any.met_by(not_offered));
}

TEST_CASE("only an opportunistic requirement has a plaintext retry, once") {
  CHECK_FALSE(TlsRequirement::verified().after_failed_handshake().has_value());
  const auto retry = TlsRequirement::opportunistic().after_failed_handshake();
  REQUIRE(retry.has_value());
  CHECK_FALSE(retry->uses_tls());
  CHECK(retry->met_by(TlsNotOffered{"not-advertised"}));
  CHECK_FALSE(retry->after_failed_handshake().has_value());
  CHECK(retry->name() == "plaintext-retry");
}
