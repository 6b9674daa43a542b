#include <algorithm>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/net/https_client.h"
#include "tests/relay/net/https_fixture.h"

namespace {

using relay::net::HttpsFailure;
using relay::net::HttpsPost;
using relay::net::HttpsResponse;
using support::check_failure;
using support::HttpsResult;
using support::HttpsWorld;
using support::kPolicyName;
using support::kPolicyPath;
using support::PolicyHost;
using support::response;
using support::TlsPeer;
using Kind = HttpsFailure::Kind;

HttpsPost report() {
  return {"\x1f\x8b octets\0 of a report", "application/tlsrpt+gzip"};
}

HttpsPost report_of(std::size_t size) {
  return {std::string(size, 'x'), "application/tlsrpt+gzip"};
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("post: method, type and content arrive as given, octet for octet") {
  HttpsWorld world;
  const PolicyHost host(response("thank you", "HTTP/1.1 201 Created"));
  HttpsPost post = report();
  post.content = std::string("\x1f\x8b\0\r\n\r\n\xff", 8);
  const HttpsResult result = world.post(host, post);
  REQUIRE(result);
  CHECK(result->status == 201);
  CHECK(result->body == "thank you");
  const std::string request = host.last_request();
  const std::string line = std::string("POST ") + kPolicyPath + " HTTP/1.1\r\nHost: " + kPolicyName;
  CHECK(request.starts_with(line));
  CHECK(contains(request, "\r\nContent-Type: application/tlsrpt+gzip\r\n"));
  CHECK(contains(request, "\r\nContent-Length: 8\r\n"));
  CHECK(request.ends_with("\r\n\r\n" + post.content));
  for (const char* absent :
       {"Expect:", "Content-Encoding:", "Transfer-Encoding:", "Authorization:", "x-www-form"}) {
    CHECK_MESSAGE(!contains(request, absent), absent);
  }
}

TEST_CASE("post: much content arrives without waiting for an interim response") {
  HttpsWorld world;
  const PolicyHost host(response(""));
  const HttpsPost post = report_of(3'000'000);
  const HttpsResult result = world.post(host, post);
  REQUIRE(result);
  CHECK(result->status == 200);
  CHECK(host.last_request().ends_with("\r\n\r\n" + post.content));
}

TEST_CASE("a get is no post: no content, no type") {
  HttpsWorld world;
  const PolicyHost host(response("x"));
  REQUIRE(world.get(host));
  CHECK(host.last_request().starts_with("GET "));
  CHECK_FALSE(contains(host.last_request(), "Content-"));
}

TEST_CASE("post: a name and password go as Basic, and into no redirect's address") {
  HttpsWorld world;
  const PolicyHost host([](const TlsPeer& peer) {
    peer.send(response("", "HTTP/1.1 307 Temporary Redirect", "Location: /elsewhere\r\n"));
  });
  HttpsPost post = report();
  post.userinfo = "Aladdin:open sesame";  // RFC 7617 §2
  const HttpsResult result = world.post(host, post);
  REQUIRE(result);
  CHECK(contains(host.last_request(), "\r\nAuthorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n"));
  CHECK(contains(result->location, "/elsewhere"));
  CHECK_FALSE(contains(result->location, "Aladdin"));
}

TEST_CASE("post: a redirect is told, absolute and whatever its scheme, and not followed") {
  struct Row {
    std::string location;
    std::string told;  // with PORT for the host's
  };
  for (const Row& row :
       {Row{"https://reports.example.com/v1?x=1", "https://reports.example.com/v1?x=1"},
        Row{"http://reports.example.com/", "http://reports.example.com/"},
        Row{"/v2", "https://mta-sts.example.net:PORT/v2"},
        Row{"v2", "https://mta-sts.example.net:PORT/.well-known/v2"}}) {
    CAPTURE(row.location);
    HttpsWorld world;
    const PolicyHost host(
        response("", "HTTP/1.1 308 Permanent Redirect", "Location: " + row.location + "\r\n"));
    const HttpsResult result = world.post(host, report());
    REQUIRE(result);
    CHECK(result->status == 308);
    std::string told = row.told;
    if (const auto at = told.find("PORT"); at != std::string::npos) {
      told.replace(at, 4, std::to_string(host.address().port()));
    }
    CHECK(result->location == told);
    support::settle(world.loop);
    CHECK(host.connections() == 1);
  }
}

TEST_CASE("post: Retry-After is handed on as sent, an interim response's is not") {
  struct Row {
    std::string answer;
    std::string told;
  };
  const std::string busy = "HTTP/1.1 503 Busy";
  for (const Row& row :
       {Row{response("", busy, "Retry-After: 120\r\n"), "120"},
        Row{response("", busy, "retry-after:  Fri, 21 Aug 2026 07:28:00 GMT \r\n"),
            "Fri, 21 Aug 2026 07:28:00 GMT"},
        Row{response("", busy), ""},
        Row{"HTTP/1.1 103 Early Hints\r\nRetry-After: 1\r\n\r\n" + response("", busy), ""}}) {
    HttpsWorld world;
    const PolicyHost host(row.answer);
    const HttpsResult result = world.post(host, report());
    REQUIRE(result);
    CHECK(result->status == 503);
    CHECK(result->retry_after == row.told);
  }
}

TEST_CASE("post: the status counts, whatever becomes of the body behind it") {
  struct Row {
    std::string what;
    std::string answer;
    bool cut;
  };
  const std::string created = "HTTP/1.1 201 Created\r\n";
  const std::vector<Row> rows{
      {"too long", response(std::string(100'000, 'x'), "HTTP/1.1 201 Created"), false},
      {"too long, unannounced", created + "\r\n" + std::string(100'000, 'x'), false},
      {"encoded", response("\x1f\x8b", "HTTP/1.1 201 Created", "Content-Encoding: gzip\r\n"),
       false},
      {"cut", created + "Content-Length: 10\r\n\r\nx", true},
      {"cut, unannounced", created + "\r\nx", true},
      {"as HTTP/1.0 has it", "HTTP/1.0 201 Created\r\n\r\nx", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    HttpsWorld world;
    const PolicyHost host([&](const TlsPeer& peer) {
      peer.send(row.answer);
      if (row.cut) {
        peer.cut();
      }
    });
    const HttpsResult result = world.post(host, report());
    REQUIRE_MESSAGE(result, row.what, ": ", result.error().reason);
    CHECK(result->status == 201);
  }
}

TEST_CASE("post: without a whole head there is no response") {
  struct Row {
    std::string answer;
    const char* reason;
  };
  for (const Row& row : {Row{"", "empty-reply"}, Row{"thank you\r\n", "malformed-response"},
                         Row{"HTTP/1.1 201 Created\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n",
                             "headers-too-large"}}) {
    CAPTURE(row.reason);
    HttpsWorld world;
    const PolicyHost host([&](const TlsPeer& peer) {
      if (!row.answer.empty()) {
        peer.send(row.answer);
      }
    });
    check_failure(world.post(host, report()), Kind::protocol, row.reason);
  }
}

TEST_CASE("post: an interim response alone is none") {
  HttpsWorld world;
  const PolicyHost host("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
  CHECK_FALSE(world.post(host, report()));
}

TEST_CASE("post: certificates are verified unless that is waived (RFC 8460 §3)") {
  HttpsWorld world;
  support::CertificateRequest wrong_name;
  wrong_name.dns_names = {"elsewhere.example.net"};
  support::CertificateRequest expired = support::good_request();
  expired.valid_until = std::chrono::seconds(-1);
  struct Row {
    support::Certificate certificate;
    const char* reason;
  };
  for (const Row& row :
       {Row{support::Certificate::self_signed(support::good_request()),
            "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"},
        Row{support::authority().issue(wrong_name), "X509_V_ERR_HOSTNAME_MISMATCH"},
        Row{support::authority().issue(expired), "X509_V_ERR_CERT_HAS_EXPIRED"}}) {
    CAPTURE(row.reason);
    const PolicyHost host(response(""), row.certificate);
    HttpsPost post = report();
    check_failure(world.post(host, post), Kind::certificate, row.reason);
    CHECK(host.requests() == 0);
    post.certificate = HttpsPost::Certificate::ignored;
    const HttpsResult result = world.post(host, post);
    REQUIRE(result);
    CHECK(result->status == 200);
    CHECK(host.last_request().ends_with(post.content));
    CHECK_FALSE(world.get(host));  // the waiver was that request's own
  }
}

TEST_CASE("post: an address that was not given is not connected to, none at all is a failure") {
  HttpsWorld world;
  const HttpsResult result = world.result_of(
      [&](auto done) { return world.client().post(world.request({}), report(), std::move(done)); });
  check_failure(result, Kind::connect, "no-address");
}

TEST_CASE("post: a cancelled one calls nobody") {
  HttpsWorld world;
  const PolicyHost host(response(""));
  bool called = false;
  {
    const auto operation = world.client().post(world.request({host.address()}), report(),
                                               [&](const HttpsResult&) { called = true; });
  }
  support::settle(world.loop);
  CHECK_FALSE(called);
}

}  // namespace
