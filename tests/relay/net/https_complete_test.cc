#include <string>

#include <doctest/doctest.h>

#include "relay/net/https_client.h"
#include "relay/net/https_head.h"
#include "tests/relay/net/https_fixture.h"

namespace {

using relay::net::HttpsFailure;
using relay::net::HttpsHead;
using support::check_failure;
using support::HttpsResult;
using support::HttpsWorld;
using support::PolicyHost;
using support::response;
using support::TlsPeer;
using Kind = HttpsFailure::Kind;

constexpr const char* kUnframed = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nversion: STSv1\r\n";

TEST_CASE("a body that ends with the connection is whole only after a close_notify") {
  for (const int newest : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    CAPTURE(newest);
    HttpsWorld world;
    const auto& certificate = support::authority().issue(support::good_request());
    const PolicyHost closed(kUnframed, certificate, newest);
    const HttpsResult whole = world.get(closed);
    REQUIRE(whole);
    CHECK(whole->body == "version: STSv1\r\n");
    const PolicyHost cut(
        [](const TlsPeer& peer) {
          peer.send(kUnframed);
          peer.cut();
        },
        certificate, newest);
    check_failure(world.get(cut), Kind::protocol, "incomplete-body");
  }
}

TEST_CASE("a body that says where it ends needs no close_notify, and is never cut") {
  struct Row {
    const char* what;
    std::string answer;
    const char* failure;  // null: none
  };
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string body = "6\r\npolicy\r\n";
  for (const Row& row : {
           Row{"length", response("policy"), nullptr},
           Row{"chunked", chunked + body + "0\r\n\r\n", nullptr},
           Row{"chunked, with a trailer", chunked + body + "0\r\nContent-Length: 1\r\n\r\n",
               nullptr},
           Row{"chunked, the last chunk missing", chunked + body, "incomplete-body"},
           Row{"length, cut",
               "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\npolicy",
               "incomplete-body"},
       }) {
    CAPTURE(row.what);
    HttpsWorld world;
    const PolicyHost host([&](const TlsPeer& peer) {
      peer.send(row.answer);
      peer.cut();
    });
    const HttpsResult result = world.get(host);
    if (row.failure != nullptr) {
      check_failure(result, Kind::protocol, row.failure);
    } else {
      REQUIRE(result);
      CHECK(result->body == "policy");
    }
  }
}

TEST_CASE("an error page that was cut is still its status") {
  HttpsWorld world;
  const PolicyHost host([](const TlsPeer& peer) {
    peer.send("HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nnoth");
    peer.cut();
  });
  const HttpsResult result = world.get(host);
  REQUIRE(result);
  CHECK(result->status == 404);
}

TEST_CASE("framing that can be read in two ways is refused") {
  struct Row {
    const char* headers;
    const char* failure;  // null: none
  };
  for (const Row& row : {
           Row{"Content-Length: 6\r\nContent-Length: 5\r\n", "content-length"},
           Row{"Content-Length: 6\r\ncontent-length: 6\r\n", nullptr},
           Row{"Content-Length: 6, 6\r\n", "content-length"},
           Row{"Content-Length: +6\r\n", "content-length"},
           Row{"Content-Length : 6\r\n", "malformed-response"},
           Row{"Transfer-Encoding: gzip, chunked\r\n", "transfer-encoding"},
           Row{"Transfer-Encoding: gzip\r\n", "transfer-encoding"},
           Row{"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "transfer-encoding"},
       }) {
    CAPTURE(row.headers);
    HttpsWorld world;
    const PolicyHost host(std::string("HTTP/1.1 200 OK\r\n") + row.headers + "\r\npolicy");
    const HttpsResult result = world.get(host);
    if (row.failure != nullptr) {
      check_failure(result, Kind::protocol, row.failure);
    } else {
      CHECK(result);
    }
  }
}

TEST_CASE("a status that can be read in two ways is refused") {
  HttpsWorld world;
  const PolicyHost host("HTTP/1.1 2000 OK\r\nConnection: close\r\n\r\npolicy");
  check_failure(world.get(host), Kind::protocol, "malformed-response");
}

TEST_CASE("what an interim response says is not said by the final one (RFC 8297)") {
  HttpsWorld world;
  const PolicyHost host(
      "HTTP/1.1 103 Early Hints\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npolicy");
  const HttpsResult result = world.get(host);
  REQUIRE(result);
  CHECK(result->content_type.empty());
  CHECK(result->body == "policy");
}

TEST_CASE("a head is read line by line, and its trailers are not") {
  HttpsHead head;
  CHECK(head.status() == 0);
  for (const char* line : {"HTTP/1.1 200 OK\r\n", "CONTENT-TYPE: Text/Plain\r\n",
                           "Transfer-Encoding: Chunked\r\n", " Content-Type: folded\r\n", "\r\n",
                           "HTTP/1.1 404 no\r\n", "Content-Type: text/html\r\n"}) {
    CHECK_FALSE(head.take(line));
  }
  CHECK(head.status() == 200);
  CHECK(head.content_type() == "Text/Plain");
  CHECK(head.frames_body());
}

}  // namespace
