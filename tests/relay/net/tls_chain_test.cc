#include "relay/net/tls_chain.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <openssl/asn1.h>

#include "tests/relay/net/https_fixture.h"
#include "tests/relay/net/tls_fixture.h"

namespace {

using relay::net::ChainSummary;
using relay::net::DescribeChain;
using relay::net::TlsClientOptions;
using std::chrono::hours;
using support::Certificate;
using support::CertificateRequest;
using support::kHost;
using support::new_authority;
using support::parameters_of;
using support::TlsServer;
using Names = std::vector<std::string>;

TlsClientOptions curious() {
  TlsClientOptions options = support::options_for(kHost);
  options.chain = DescribeChain::yes;
  return options;
}

/// What a handshake with a server of this certificate tells.
ChainSummary chain_of(const Certificate& leaf, const Certificate& authority,
                      const TlsClientOptions& options = curious(),
                      const std::vector<Certificate>& intermediates = {}) {
  const TlsServer server(leaf, {.intermediates = intermediates});
  return parameters_of(
             support::shake_hands(server.address(), *support::trusting(authority), options))
      .chain;
}

TEST_CASE("a chain is described when that is asked for: names, issuers and dates, leaf first") {
  const auto root = new_authority();
  const auto sub = root.issue({.common_name = "Sub", .use = CertificateRequest::Use::authority});
  const auto leaf = sub.issue({.common_name = "Leaf",
                               .dns_names = {kHost, "*.example.org"},
                               .emails = {"postmaster@example.com"}});
  const ChainSummary chain = chain_of(leaf, root, curious(), {sub});
  REQUIRE(chain.size() == 2);
  CHECK(chain[0].dns_names == Names{kHost, "*.example.org"});
  CHECK(chain[0].subject.starts_with("CN=Leaf,O=test "));
  CHECK(chain[0].issuer.starts_with("CN=Sub,O=test "));
  CHECK(chain[0].issuer == chain[1].subject);
  CHECK(chain[1].issuer.starts_with("CN=Test CA,"));
  CHECK(chain[1].dns_names.empty());
  REQUIRE(chain[0].valid_from);
  REQUIRE(chain[0].valid_until);
  const auto life = *chain[0].valid_until - *chain[0].valid_from;
  CHECK(life >= hours(25));
  CHECK(life < hours(26));
}

TEST_CASE("without being asked nothing is described") {
  const auto authority = new_authority();
  const auto leaf = authority.issue({.dns_names = {kHost}});
  CHECK(chain_of(leaf, authority, support::options_for(kHost)).empty());
}

TEST_CASE("certificates that prove nothing are described as well") {
  const auto old = Certificate::self_signed(
      {.common_name = "old.example.com", .valid_from = -hours(9), .valid_until = -hours(1)});
  const ChainSummary chain = chain_of(old, new_authority());
  REQUIRE(chain.size() == 1);
  CHECK(chain[0].dns_names.empty());
  CHECK(chain[0].subject.starts_with("CN=old.example.com,"));
  CHECK(chain[0].issuer == chain[0].subject);
}

TEST_CASE("a certificate with a thousand names gives a hundred") {
  const auto authority = new_authority();
  CertificateRequest request;
  for (int i = 0; i < 1000; ++i) {
    request.dns_names.push_back("n" + std::to_string(i) + ".example.com");
  }
  const ChainSummary chain = chain_of(authority.issue(request), authority);
  REQUIRE(chain.size() == 1);
  CHECK(chain[0].dns_names.size() == 100);
  CHECK(chain[0].dns_names.front() == "n0.example.com");
}

TEST_CASE("both ways in which certificates write times are understood, and nothing else is") {
  using std::chrono::sys_days;
  const auto read = [](const char* text, int type) {
    const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> time(ASN1_TIME_new(),
                                                                     &ASN1_TIME_free);
    REQUIRE(ASN1_STRING_set(time.get(), text, -1) == 1);
    time->type = type;
    return relay::net::to_wall_time(time.get());
  };
  const auto moment =
      sys_days(std::chrono::year(2026) / 3 / 1) + hours(9) + std::chrono::minutes(30);
  CHECK(read("260301093000Z", V_ASN1_UTCTIME) == moment);
  CHECK(read("20260301093000Z", V_ASN1_GENERALIZEDTIME) == moment);
  CHECK(read("20501231000000Z", V_ASN1_GENERALIZEDTIME) ==
        sys_days(std::chrono::year(2050) / 12 / 31));
  CHECK_FALSE(read("yesterday", V_ASN1_UTCTIME));
}

support::HttpsResult asked(const support::PolicyHost& host, DescribeChain chain) {
  support::HttpsWorld world;
  auto request = world.request({host.address()});
  request.chain = chain;
  return world.get(request);
}

TEST_CASE("a policy host's certificate is described when that is asked for") {
  const support::PolicyHost host(support::response("policy"));
  const auto told = asked(host, DescribeChain::yes);
  REQUIRE(told);
  REQUIRE(told->peer);
  CHECK(told->body == "policy");
  CHECK(told->peer->version == "TLSv1.3");
  CHECK(told->peer->cipher == "TLS_AES_256_GCM_SHA384");
  REQUIRE(told->peer->chain.size() == 1);
  CHECK(told->peer->chain[0].dns_names == Names{support::kPolicyName});
  CHECK(told->peer->chain[0].issuer.starts_with("CN=Test authority,"));
  const auto plain = asked(host, DescribeChain::no);
  REQUIRE(plain);
  CHECK_FALSE(plain->peer);
}

TEST_CASE(
    "a policy host's certificate that is refused is described too, and refused all the same") {
  const auto& authority = support::authority();
  struct Row {
    const char* what;
    Certificate certificate;
    const char* reason;
  };
  const std::vector<Row> rows{
      {"expired",
       authority.issue({.dns_names = {support::kPolicyName},
                        .valid_from = -hours(2),
                        .valid_until = -hours(1)}),
       "X509_V_ERR_CERT_HAS_EXPIRED"},
      {"another name", authority.issue({.dns_names = {"example.net"}}),
       "X509_V_ERR_HOSTNAME_MISMATCH"},
      {"common name only", authority.issue({.common_name = support::kPolicyName}),
       "X509_V_ERR_HOSTNAME_MISMATCH"},
      {"self-signed", Certificate::self_signed(support::good_request()),
       "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const support::PolicyHost host(support::response("policy"), row.certificate);
    const auto told = asked(host, DescribeChain::yes);
    support::check_failure(told, relay::net::HttpsFailure::Kind::certificate, row.reason);
    REQUIRE(told.error().peer);
    CHECK(told.error().peer->version == "TLSv1.3");
    CHECK(told.error().peer->chain.size() == 1);
    CHECK(host.requests() == 0);
  }
}

TEST_CASE("a policy host that never shows a certificate has none to describe") {
  const support::PeerServer closing([](support::PeerSocket& socket) {
    std::ignore = socket.read_some();
    socket.close();
  });
  support::HttpsWorld world;
  auto request = world.request({closing.address()});
  request.chain = DescribeChain::yes;
  const auto told = world.get(request);
  REQUIRE_FALSE(told);
  CHECK_FALSE(told.error().peer);
}

}  // namespace
