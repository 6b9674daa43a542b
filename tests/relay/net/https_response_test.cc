#include <string>

#include <doctest/doctest.h>

#include "relay/net/https_client.h"
#include "tests/relay/net/https_fixture.h"

namespace {

using relay::net::HttpsFailure;
using support::check_failure;
using support::HttpsResult;
using support::HttpsWorld;
using support::kPolicyName;
using support::kPolicyPath;
using support::PolicyHost;
using support::response;
using support::TlsPeer;
using Kind = HttpsFailure::Kind;

TEST_CASE("a response comes with status, type and body") {
  HttpsWorld world;
  const PolicyHost host(response("version: STSv1\r\n"));
  const HttpsResult result = world.get(host);
  REQUIRE(result);
  CHECK(result->status == 200);
  CHECK(result->content_type == "text/plain");
  CHECK(result->body == "version: STSv1\r\n");
}

TEST_CASE("each status is a response; a redirect is not followed") {
  for (const int status : {201, 204, 206, 301, 302, 304, 307, 401, 404, 500, 503}) {
    CAPTURE(status);
    HttpsWorld world;
    const PolicyHost host([&](const TlsPeer& peer) {
      peer.send(response("", "HTTP/1.1 " + std::to_string(status) + " X",
                         std::string("Location: https://") + kPolicyName + kPolicyPath + "\r\n"));
    });
    const HttpsResult result = world.get(host);
    REQUIRE(result);
    CHECK(result->status == status);
    support::settle(world.loop);
    CHECK(host.requests() == 1);
    CHECK(host.connections() == 1);
  }
}

TEST_CASE("early hints are passed over (RFC 8297)") {
  HttpsWorld world;
  const PolicyHost host("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Encoding: gzip\r\n\r\n" +
                        response("policy"));
  const HttpsResult result = world.get(host);
  REQUIRE(result);
  CHECK(result->status == 200);
  CHECK(result->body == "policy");
}

TEST_CASE("a body up to the limit is whole, one octet more is too much") {
  HttpsWorld world;
  for (const bool announced : {true, false}) {
    CAPTURE(announced);
    const auto answer = [&](std::size_t size) {
      const std::string body(size, 'x');
      return announced ? response(body) : "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body;
    };
    const PolicyHost full(answer(world.options.max_body));
    const HttpsResult result = world.get(full);
    REQUIRE(result);
    CHECK(result->body.size() == world.options.max_body);
    const PolicyHost beyond(answer(world.options.max_body + 1));
    check_failure(world.get(beyond), Kind::too_large, "policy-too-large");
  }
}

TEST_CASE("an announced length beyond the limit ends the request before the body") {
  HttpsWorld world;
  const PolicyHost host([](const TlsPeer& peer) {
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 131072\r\n\r\n");
    peer.wait_for_end();
  });
  check_failure(world.get(host), Kind::too_large, "policy-too-large");
}

TEST_CASE("a long error page does not hide its status") {
  HttpsWorld world;
  const std::string page(world.options.max_body + 1, 'x');
  for (const std::string& answer : {response(page, "HTTP/1.1 404 Not Found"),
                                    "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n" + page}) {
    const PolicyHost host(answer);
    const HttpsResult result = world.get(host);
    REQUIRE(result);
    CHECK(result->status == 404);
    CHECK(result->body.empty());
  }
}

TEST_CASE("an encoded body is refused, the identity is not") {
  HttpsWorld world;
  const PolicyHost gzip(response("\x1f\x8b", "HTTP/1.1 200 OK", "content-encoding: gzip\r\n"));
  check_failure(world.get(gzip), Kind::protocol, "content-encoding");
  const PolicyHost plain(response("x", "HTTP/1.1 200 OK", "Content-Encoding: Identity\r\n"));
  CHECK(world.get(plain));
}

TEST_CASE("what is no complete HTTP response is a protocol failure") {
  struct Row {
    std::string answer;
    const char* reason;
  };
  HttpsWorld world;
  for (const Row& row : {Row{"", "empty-reply"},
                         Row{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx", "incomplete-body"},
                         Row{"version: STSv1\r\n", "malformed-response"},
                         Row{"HTTP/1.1 200 OK\r\nX: " + std::string(70000, 'x') + "\r\n\r\n",
                             "headers-too-large"}}) {
    CAPTURE(row.reason);
    const PolicyHost host([&](const TlsPeer& peer) {
      if (!row.answer.empty()) {
        peer.send(row.answer);
      }
    });
    check_failure(world.get(host), Kind::protocol, row.reason);
  }
}

}  // namespace
