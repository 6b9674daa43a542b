#include <chrono>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/net/https_fixture.h"
#include "tests/relay/net/staples.h"

namespace {

using relay::net::Revocation;
using std::chrono::hours;
using support::authority;
using support::Certificate;
using support::check_failure;
using support::good_request;
using support::HttpsWorld;
using support::make_staple;
using support::PolicyHost;
using support::response;
using support::StapleRequest;
using Kind = relay::net::HttpsFailure::Kind;
using Status = StapleRequest::Status;

Certificate promising() {
  auto request = good_request();
  request.must_staple = true;
  return authority().issue(request);
}

std::string staple_for(const Certificate& leaf, const StapleRequest& request) {
  return make_staple(leaf, authority(), authority(), request);
}

TEST_CASE("a policy host whose staple says revoked gets no request") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    for (const auto& leaf : {authority().issue(good_request()), promising()}) {
      HttpsWorld world;
      PolicyHost host(response("policy"), leaf, version);
      host.staple(staple_for(leaf, {.status = Status::revoked}));
      check_failure(world.get(host), Kind::certificate, "X509_V_ERR_CERT_REVOKED");
      CHECK(host.requests() == 0);
    }
  }
}

TEST_CASE("a policy host's certificate that promises a staple is not taken without a good one") {
  struct Row {
    const char* name;
    std::string staple;
    const char* reason;
  };
  const auto leaf = promising();
  const auto stranger = Certificate::self_signed(
      {.common_name = "Stranger", .use = support::CertificateRequest::Use::authority});
  const std::vector<Row> rows = {
      {"none", "", "X509_V_ERR_OCSP_VERIFY_NEEDED"},
      {"unknown", staple_for(leaf, {.status = Status::unknown}), "X509_V_ERR_OCSP_CERT_UNKNOWN"},
      {"over", staple_for(leaf, {Status::good, -hours(9), -hours(1)}),
       "X509_V_ERR_OCSP_VERIFY_FAILED"},
      {"foreign", make_staple(leaf, authority(), stranger, {}), "X509_V_ERR_OCSP_VERIFY_FAILED"},
      {"malformed", "staple", "X509_V_ERR_OCSP_VERIFY_FAILED"},
  };
  const auto plain = authority().issue(good_request());
  for (const Row& row : rows) {
    CAPTURE(row.name);
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
      CAPTURE(version);
      HttpsWorld world;
      PolicyHost host(response("policy"), leaf, version);
      host.staple(row.staple);
      check_failure(world.get(host), Kind::certificate, row.reason);
      CHECK(host.requests() == 0);
      // Where nothing is promised, what proves nothing is worth as much as none.
      PolicyHost other(response("policy"), plain, version);
      other.staple(row.staple);
      CHECK(world.get(other));
      CHECK(other.stapler().asked() == 1);
    }
  }
}

TEST_CASE("a good staple is taken") {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(version);
    const auto leaf = promising();
    HttpsWorld world;
    PolicyHost host(response("policy"), leaf, version);
    host.staple(staple_for(leaf, {}));
    CHECK(world.get(host));
  }
}

TEST_CASE("an untrusted chain is the fault, whatever the staple says") {
  const auto leaf = Certificate::self_signed(good_request());
  HttpsWorld world;
  PolicyHost host(response("policy"), leaf);
  host.staple(make_staple(leaf, leaf, leaf, {.status = Status::revoked}));
  check_failure(world.get(host), Kind::certificate, "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT");
}

TEST_CASE("revocation off for policy hosts: no staple is asked for, until trust is renewed") {
  const auto leaf = promising();
  HttpsWorld world;
  world.options.revocation = Revocation::off;
  PolicyHost host(response("policy"), leaf);
  host.staple(staple_for(leaf, {.status = Status::revoked}));
  CHECK(world.get(host));
  CHECK(host.stapler().asked() == 0);
  world.client().renew_trust(Revocation::stapled);
  check_failure(world.get(host), Kind::certificate, "X509_V_ERR_CERT_REVOKED");
  world.client().renew_trust(Revocation::off);
  CHECK(world.get(host));
}

}  // namespace
