#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/net/connection.h"
#include "relay/net/tls_client.h"
#include "tests/relay/net/tls_fixture.h"

namespace {

using relay::net::TlsFloor;
using support::Certificate;
using support::CertificateRequest;
using support::kHost;
using support::new_authority;
using support::options_for;
using support::parameters_of;
using support::shake_hands;
using support::text_of;
using support::TlsServer;
using support::trusting;
using Use = support::CertificateRequest::Use;

TEST_CASE("a chain to a trusted authority that names the host is verified") {
  const auto authority = new_authority();
  const TlsServer server(authority.issue({.dns_names = {kHost}}), {});
  const auto outcome = shake_hands(server.address(), *trusting(authority), options_for(kHost));
  CHECK(text_of(outcome) == "verified");
  CHECK(parameters_of(outcome).version == "TLSv1.3");
  CHECK(parameters_of(outcome).cipher == "TLS_AES_256_GCM_SHA384");
  CHECK_FALSE(parameters_of(outcome).resumed);
  CHECK(server.last_name() == kHost);
}

TEST_CASE("every fault of a certificate is reported, each once, and the handshake completes") {
  using std::chrono::hours;
  struct Row {
    const char* name;
    CertificateRequest request;
    bool own_signature;
    bool known_authority;
    const char* expected;
  };
  const CertificateRequest good{.dns_names = {kHost}};
  const CertificateRequest other{.dns_names = {"other.example.com"}};
  const CertificateRequest old{
      .dns_names = {kHost}, .valid_from = -hours(9), .valid_until = -hours(1)};
  const CertificateRequest old_other{
      .dns_names = {"other.example.com"}, .valid_from = -hours(9), .valid_until = -hours(1)};
  const std::vector<Row> rows = {
      {"another name", other, false, true, "unverified mismatch:HOSTNAME_MISMATCH"},
      {"expired", old, false, true, "unverified expired:CERT_HAS_EXPIRED"},
      {"not yet valid",
       {.dns_names = {kHost}, .valid_from = hours(1)},
       false,
       true,
       "unverified untrusted:CERT_NOT_YET_VALID"},
      {"expired and another name", old_other, false, true,
       "unverified mismatch:HOSTNAME_MISMATCH expired:CERT_HAS_EXPIRED"},
      {"self-signed", good, true, true, "unverified untrusted:DEPTH_ZERO_SELF_SIGNED_CERT"},
      {"self-signed, another name", other, true, true,
       "unverified untrusted:DEPTH_ZERO_SELF_SIGNED_CERT mismatch:HOSTNAME_MISMATCH"},
      {"unknown authority", good, false, false,
       "unverified untrusted:UNABLE_TO_GET_ISSUER_CERT_LOCALLY"},
      {"all at once", old_other, false, false,
       "unverified untrusted:UNABLE_TO_GET_ISSUER_CERT_LOCALLY mismatch:HOSTNAME_MISMATCH "
       "expired:CERT_HAS_EXPIRED"},
      {"for clients only",
       {.dns_names = {kHost}, .use = Use::client},
       false,
       true,
       "unverified untrusted:INVALID_PURPOSE"},
  };
  const auto authority = new_authority();
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const TlsServer server(
        row.own_signature ? Certificate::self_signed(row.request) : authority.issue(row.request),
        {});
    const auto context = trusting(row.known_authority ? authority : new_authority());
    CHECK(text_of(shake_hands(server.address(), *context, options_for(kHost))) == row.expected);
  }
}

TEST_CASE("faults above the leaf carry their depth") {
  using std::chrono::hours;
  const auto root = new_authority();
  const auto expired = root.issue({.common_name = "Old",
                                   .use = Use::authority,
                                   .valid_from = -hours(9),
                                   .valid_until = -hours(1)});
  const TlsServer server(expired.issue({.dns_names = {kHost}}), {.intermediates = {expired}});
  CHECK(text_of(shake_hands(server.address(), *trusting(root), options_for(kHost))) ==
        "unverified expired:CERT_HAS_EXPIRED@depth1");
  // The root that the server sends along is not in the trust store.
  const TlsServer with_root(root.issue({.dns_names = {kHost}}), {.intermediates = {root}});
  CHECK(text_of(shake_hands(with_root.address(), *trusting(new_authority()), options_for(kHost))) ==
        "unverified untrusted:SELF_SIGNED_CERT_IN_CHAIN@depth1");
}

TEST_CASE("a missing intermediate is one fault") {
  const auto root = new_authority();
  const auto intermediate = root.issue({.common_name = "Sub", .use = Use::authority});
  const auto leaf = intermediate.issue({.dns_names = {kHost}});
  const auto context = trusting(root);
  const TlsServer complete(leaf, {.intermediates = {intermediate}});
  CHECK(text_of(shake_hands(complete.address(), *context, options_for(kHost))) == "verified");
  const TlsServer incomplete(leaf, {});
  CHECK(text_of(shake_hands(incomplete.address(), *context, options_for(kHost))) ==
        "unverified untrusted:UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
}

TEST_CASE("a target without a name gets no SNI and is never verified") {
  const auto authority = new_authority();
  const TlsServer server(authority.issue({.dns_names = {kHost}}), {});
  const auto outcome = shake_hands(server.address(), *trusting(authority),
                                   {std::nullopt, TlsFloor::any, nullptr, ""});
  CHECK(text_of(outcome) == "unverified untrusted:no-reference-name");
  CHECK(server.last_name().empty());
}

TEST_CASE("the floor decides how old a protocol may be") {
  const auto authority = new_authority();
  const auto context = trusting(authority);
  const auto leaf = authority.issue({.dns_names = {kHost}});
  const TlsServer tls12(leaf, {.newest_version = TLS1_2_VERSION});
  const auto modern = shake_hands(tls12.address(), *context, options_for(kHost, TlsFloor::tls12));
  CHECK(text_of(modern) == "verified");
  CHECK(parameters_of(modern).version == "TLSv1.2");
  const TlsServer tls11(leaf, {.newest_version = TLS1_1_VERSION});
  CHECK(text_of(shake_hands(tls11.address(), *context, options_for(kHost, TlsFloor::tls12))) ==
        "failed tls-alert-70");
  const auto old = shake_hands(tls11.address(), *context, options_for(kHost, TlsFloor::any));
  CHECK(text_of(old) == "verified");
  CHECK(parameters_of(old).version == "TLSv1.1");
}

}  // namespace
