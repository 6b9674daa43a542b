#include "relay/net/https_client.h"

#include <cstdlib>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/net/https_fixture.h"

namespace {

using relay::net::HttpsFailure;
using relay::net::HttpsRequest;
using relay::net::Operation;
using relay::net::SocketAddress;
using std::chrono::hours;
using std::chrono::milliseconds;
using support::authority;
using support::Certificate;
using support::CertificateRequest;
using support::check_failure;
using support::good_request;
using support::HttpsResult;
using support::HttpsWorld;
using support::kPolicyName;
using support::kPolicyPath;
using support::PeerServer;
using support::PeerSocket;
using support::PolicyHost;
using support::response;
using support::TlsPeer;
using Kind = HttpsFailure::Kind;

TEST_CASE("the request names the host, and carries nothing that nobody asked for") {
  HttpsWorld world;
  std::string request;
  std::string server_name;
  std::uint16_t port = 0;
  {
    const PolicyHost host(response(""));
    REQUIRE(world.get(host));
    request = host.last_request();
    server_name = host.server_name();
    port = host.address().port();
  }
  CHECK(request == std::string("GET ") + kPolicyPath + " HTTP/1.1\r\nHost: " + kPolicyName + ":" +
                       std::to_string(port) + "\r\nUser-Agent: stsrelay\r\nAccept: */*\r\n\r\n");
  CHECK(server_name == kPolicyName);
}

TEST_CASE("each request has a connection of its own and leaves no state behind") {
  HttpsWorld world;
  const PolicyHost host(response("policy", "HTTP/1.1 200 OK",
                                 "Set-Cookie: a=b\r\nAlt-Svc: h2=\":1\"; ma=3600\r\n"
                                 "Strict-Transport-Security: max-age=3600\r\n"));
  REQUIRE(world.get(host));
  REQUIRE(world.get(host));
  CHECK(host.connections() == 2);
  CHECK(host.last_request().find("ookie") == std::string::npos);
}

TEST_CASE("a slow body runs into the time for the whole request") {
  HttpsWorld world;
  world.options.total_timeout = milliseconds(150);
  const PolicyHost host([](const TlsPeer& peer) {
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx");
    peer.wait_for_end();
  });
  check_failure(world.get(host), Kind::timeout, "timeout");
}

TEST_CASE("silence before the handshake runs into the time for connecting") {
  HttpsWorld world;
  world.options.connect_timeout = milliseconds(150);
  const PeerServer silent([](const PeerSocket& socket) { std::ignore = socket.read_to_end(); });
  check_failure(world.get(world.request({silent.address()})), Kind::timeout, "handshake-timeout");
}

TEST_CASE("a certificate that does not prove the host is refused by name of the fault") {
  const CertificateRequest good = good_request();
  CertificateRequest common_name_only;
  common_name_only.common_name = kPolicyName;
  CertificateRequest other_name;
  other_name.dns_names = {"example.net"};
  CertificateRequest deep_wildcard;
  deep_wildcard.dns_names = {"*.*.net"};
  CertificateRequest partial_wildcard;
  partial_wildcard.dns_names = {"mta-*.example.net"};
  CertificateRequest expired = good;
  expired.valid_from = -hours(2);
  expired.valid_until = -hours(1);
  CertificateRequest not_yet = good;
  not_yet.valid_from = hours(1);
  CertificateRequest client_use = good;
  client_use.use = CertificateRequest::Use::client;
  CertificateRequest stranger;
  stranger.common_name = "Stranger";
  stranger.use = CertificateRequest::Use::authority;
  struct Row {
    const char* what;
    Certificate certificate;
    const char* reason;
  };
  const std::vector<Row> rows{
      {"no SAN, CN only", authority().issue(common_name_only), "X509_V_ERR_HOSTNAME_MISMATCH"},
      {"other SAN", authority().issue(other_name), "X509_V_ERR_HOSTNAME_MISMATCH"},
      {"two wildcards", authority().issue(deep_wildcard), "X509_V_ERR_HOSTNAME_MISMATCH"},
      {"partial wildcard", authority().issue(partial_wildcard), "X509_V_ERR_HOSTNAME_MISMATCH"},
      {"expired", authority().issue(expired), "X509_V_ERR_CERT_HAS_EXPIRED"},
      {"not yet valid", authority().issue(not_yet), "X509_V_ERR_CERT_NOT_YET_VALID"},
      {"client use", authority().issue(client_use), "X509_V_ERR_INVALID_PURPOSE"},
      {"self-signed", Certificate::self_signed(good), "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT"},
      {"unknown issuer", Certificate::self_signed(stranger).issue(good),
       "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY"},
  };
  HttpsWorld world;
  for (const Row& row : rows) {
    CAPTURE(row.what);
    const PolicyHost host(response("policy"), row.certificate);
    check_failure(world.get(host), Kind::certificate, row.reason);
    CHECK(host.requests() == 0);
  }
  CertificateRequest wildcard;
  wildcard.dns_names = {"*.example.net"};
  const PolicyHost host(response("policy"), authority().issue(wildcard));
  CHECK(world.get(host));
}

TEST_CASE("TLS 1.2 is the floor") {
  HttpsWorld world;
  const Certificate certificate = authority().issue(good_request());
  const PolicyHost old(response("policy"), certificate, TLS1_1_VERSION);
  const HttpsResult result = world.get(old);
  check_failure(result, Kind::tls, "tls-alert-70");
  const PolicyHost floor(response("policy"), certificate, TLS1_2_VERSION);
  CHECK(world.get(floor));
}

TEST_CASE("what is no TLS at all is a TLS failure") {
  HttpsWorld world;
  const PeerServer plain([](const PeerSocket& socket) {
    std::ignore = socket.read_some();
    socket.send("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  check_failure(world.get(world.request({plain.address()})), Kind::tls, "tls-wrong-version-number");
  const PeerServer closing([](PeerSocket& socket) {
    std::ignore = socket.read_some();
    socket.close();
  });
  const HttpsResult result = world.get(world.request({closing.address()}));
  REQUIRE_FALSE(result);
  CHECK(static_cast<int>(result.error().kind) == static_cast<int>(Kind::tls));
  CHECK(result.error().reason.starts_with("tls-"));
}

TEST_CASE("a refused connection and a missing address are connection failures") {
  HttpsWorld world;
  const SocketAddress gone = [] {
    const PeerServer server([](PeerSocket&) {});
    return server.address();
  }();
  check_failure(world.get(world.request({gone})), Kind::connect, "connection-refused");
  check_failure(world.get(world.request({})), Kind::connect, "no-address");
}

TEST_CASE("of several addresses one that answers is enough") {
  HttpsWorld world;
  const PolicyHost host(response("policy"));
  const std::uint16_t port = host.address().port();
  CHECK(world.get(world.request({*SocketAddress::from_ip("::1", port), host.address()})));
  CHECK(world.get(world.request({*SocketAddress::from_ip("127.0.0.2", port), host.address()})));
}

TEST_CASE("the addresses of one request are not used for another") {
  HttpsWorld world;
  const PolicyHost host(response("policy"));
  REQUIRE(world.get(host));
  HttpsRequest elsewhere = world.request({*SocketAddress::from_ip("127.0.0.2", 1)});
  elsewhere.port = host.address().port();
  check_failure(world.get(elsewhere), Kind::connect, "connection-refused");
}

TEST_CASE("proxies named in the environment are ignored") {
  const PeerServer proxy([](const PeerSocket&) { FAIL_CHECK("the proxy was asked"); });
  const std::string url = "http://" + proxy.address().literal();
  for (const char* name : {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    setenv(name, url.c_str(), 1);
  }
  HttpsWorld world;
  const PolicyHost host(response("policy"));
  CHECK(world.get(host));
  for (const char* name : {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    unsetenv(name);
  }
}

TEST_CASE("many requests at once are all answered") {
  HttpsWorld world;
  const PolicyHost host(response("policy"));
  std::vector<Operation> operations;
  int answers = 0;
  for (int i = 0; i < 8; ++i) {
    operations.push_back(
        world.client().get(world.request({host.address()}), [&](const HttpsResult& result) {
          CHECK(result.has_value());
          if (++answers == 8) {
            world.loop.stop();
          }
        }));
  }
  support::run(world.loop);
  CHECK(answers == 8);
}

TEST_CASE("a request can be cancelled, and a client can end, at any moment") {
  for (const bool end_client : {false, true}) {
    HttpsWorld world;
    std::optional<Operation> operation;
    const PolicyHost host([&](const TlsPeer& peer) {
      world.loop.post([&] {
        if (end_client) {
          world.client_.reset();
        } else {
          operation.reset();
        }
        world.loop.stop();
      });
      peer.wait_for_end();
    });
    operation = world.client().get(world.request({host.address()}),
                                   [](const HttpsResult&) { FAIL("cancelled"); });
    support::run(world.loop);
    support::settle(world.loop);
  }
}

TEST_CASE("a callback may destroy the client") {
  HttpsWorld world;
  const PolicyHost host(response("policy"));
  int answers = 0;
  const auto done = [&](const HttpsResult&) {
    ++answers;
    world.client_.reset();
    world.loop.stop();
  };
  const Operation first = world.client().get(world.request({host.address()}), done);
  const Operation second = world.client().get(world.request({host.address()}), done);
  support::run(world.loop);
  CHECK(answers == 1);
}

}  // namespace
