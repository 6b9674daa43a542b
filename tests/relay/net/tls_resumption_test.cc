#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/net/connection.h"
#include "relay/net/tls_client.h"
#include "tests/relay/net/tls_fixture.h"

namespace {

using relay::net::CertificateFault;
using relay::net::CertificateFaultKind;
using relay::net::ResumableSession;
using relay::net::TlsClientContext;
using relay::net::TlsFloor;
using relay::net::TlsSessionCache;
using relay::net::TlsUnverified;
using relay::net::TlsVerified;
using relay::net::WallTime;
using std::chrono::seconds;
using support::Certificate;
using support::kHost;
using support::new_authority;
using support::options_for;
using support::parameters_of;
using support::shake_hands;
using support::TemporaryFile;
using support::text_of;
using support::TlsServer;
using support::trusting;
using Faults = std::vector<CertificateFault>;

TEST_CASE("a resumed session keeps the verdict of its full handshake") {
  struct Row {
    int version;
    bool known_authority;
  };
  const auto authority = new_authority();
  for (const auto& row : {Row{TLS1_2_VERSION, true}, Row{TLS1_2_VERSION, false},
                          Row{TLS1_3_VERSION, true}, Row{TLS1_3_VERSION, false}}) {
    CAPTURE(row.version);
    CAPTURE(row.known_authority);
    TlsSessionCache sessions(10);
    const TlsServer server(authority.issue({.dns_names = {kHost}}),
                           {.newest_version = row.version});
    const auto context = trusting(row.known_authority ? authority : new_authority());
    const auto options = options_for(kHost, TlsFloor::tls12, &sessions);
    const auto first = shake_hands(server.address(), *context, options);
    CHECK_FALSE(parameters_of(first).resumed);
    for (int i = 0; i < 6; ++i) {
      const auto next = shake_hands(server.address(), *context, options);
      CHECK(parameters_of(next).resumed);
      CHECK(text_of(next) == text_of(first));
    }
    CHECK(std::holds_alternative<TlsVerified>(first) == row.known_authority);
  }
}

TEST_CASE("no ticket turns an unverified session into a verified one") {
  const auto authority = new_authority();
  const auto trusted = trusting(authority);
  const TlsServer server(authority.issue({.dns_names = {kHost}}), {});
  TlsSessionCache sessions(10);
  SUBCASE("a ticket from a context that knew no authority") {
    const auto stranger = trusting(new_authority());
    const auto options = options_for(kHost, TlsFloor::tls12, &sessions);
    const auto first = shake_hands(server.address(), *stranger, options);
    CHECK(std::holds_alternative<TlsUnverified>(first));
    const auto next = shake_hands(server.address(), *trusted, options);
    CHECK(parameters_of(next).resumed);
    CHECK(text_of(next) == text_of(first));
  }
  SUBCASE("a verified ticket offered for another name or another floor") {
    const auto options = options_for(kHost, TlsFloor::tls12, &sessions);
    CHECK(text_of(shake_hands(server.address(), *trusted, options)) == "verified");
    const auto other_name = shake_hands(server.address(), *trusted,
                                        options_for("other.example", TlsFloor::tls12, &sessions));
    CHECK_FALSE(parameters_of(other_name).resumed);
    CHECK(text_of(other_name) == "unverified mismatch:HOSTNAME_MISMATCH");
    const auto other_floor =
        shake_hands(server.address(), *trusted, options_for(kHost, TlsFloor::any, &sessions));
    CHECK_FALSE(parameters_of(other_floor).resumed);
  }
  SUBCASE("a ticket that the server does not accept: the certificate is verified anew") {
    const auto options = options_for(kHost, TlsFloor::tls12, &sessions);
    CHECK(text_of(shake_hands(server.address(), *trusted, options)) == "verified");
    const TlsServer changed(Certificate::self_signed({.dns_names = {kHost}}), {});
    const auto next = shake_hands(changed.address(), *trusted, options);
    CHECK_FALSE(parameters_of(next).resumed);
    CHECK(text_of(next) == "unverified untrusted:DEPTH_ZERO_SELF_SIGNED_CERT");
  }
}

TEST_CASE("a ticket is kept no longer than its certificate is valid") {
  const auto authority = new_authority();
  const auto context = trusting(authority);
  TlsSessionCache sessions(10);
  using std::chrono::hours;
  // Expired: its verdict must not be reused, whatever it is.
  const TlsServer server(
      authority.issue({.dns_names = {kHost}, .valid_from = -hours(9), .valid_until = -hours(1)}),
      {});
  const auto options = options_for(kHost, TlsFloor::tls12, &sessions);
  (void)shake_hands(server.address(), *context, options);
  CHECK_FALSE(parameters_of(shake_hands(server.address(), *context, options)).resumed);
}

ResumableSession ticket(int number, WallTime until) {
  return {nullptr, Faults{{CertificateFaultKind::expired, std::to_string(number)}}, until};
}

std::string taken(TlsSessionCache& cache, const std::string& key, WallTime now) {
  const auto session = cache.take(key, now);
  return session ? session->faults.front().code : "none";
}

TEST_CASE("session cache: newest first, each once, none after its time") {
  const WallTime now{std::chrono::hours(1000)};
  TlsSessionCache cache(100);
  CHECK(taken(cache, "a", now) == "none");
  cache.put("a", ticket(1, now + seconds(100)));
  cache.put("a", ticket(2, now + seconds(10)));
  cache.put("b", ticket(3, now + seconds(100)));
  CHECK(taken(cache, "a", now + seconds(10)) == "1");
  CHECK(taken(cache, "a", now) == "none");
  CHECK(taken(cache, "b", now + seconds(100)) == "none");
  cache.put("c", ticket(4, now + seconds(100)));
  cache.clear();
  CHECK(taken(cache, "c", now) == "none");
}

TEST_CASE("session cache: four tickets a key, and the oldest of all leave a full cache") {
  const WallTime now{std::chrono::hours(1000)};
  const WallTime later = now + seconds(100);
  TlsSessionCache cache(6);
  for (int i = 1; i <= 6; ++i) {
    cache.put("a", ticket(i, later));
  }
  for (int i = 11; i <= 13; ++i) {
    cache.put("b" + std::to_string(i), ticket(i, later));
  }
  CHECK(taken(cache, "a", now) == "6");
  CHECK(taken(cache, "a", now) == "5");
  CHECK(taken(cache, "a", now) == "4");
  CHECK(taken(cache, "a", now) == "none");
  CHECK(taken(cache, "b11", now) == "11");
  CHECK(taken(cache, "b13", now) == "13");
  TlsSessionCache none(0);
  none.put("a", ticket(1, later));
  CHECK(taken(none, "a", now) == "none");
}

TEST_CASE("a trust file that cannot be used is an error that names it") {
  const auto missing = TlsClientContext::create("/nonexistent/ca.pem");
  REQUIRE_FALSE(missing);
  CHECK(missing.error() == "/nonexistent/ca.pem: No such file or directory");
  const TemporaryFile file("not a certificate");
  const auto empty = TlsClientContext::create(file.path());
  REQUIRE_FALSE(empty);
  CHECK(empty.error().starts_with(file.path() + ": no CA certificates in PEM form"));
  CHECK(TlsClientContext::create("").has_value());
}

}  // namespace
