#include "relay/net/https_client.h"

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "tests/relay/net/certificates.h"
#include "tests/relay/net/loop_fixture.h"

namespace {

using relay::Expected;
using relay::net::DomainName;
using relay::net::EventLoop;
using relay::net::HttpsClient;
using relay::net::HttpsClientOptions;
using relay::net::HttpsFailure;
using relay::net::HttpsRequest;
using relay::net::HttpsResponse;
using relay::net::Operation;
using relay::net::SocketAddress;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using support::Certificate;
using support::CertificateRequest;
using support::PeerServer;
using support::PeerSocket;
using Kind = HttpsFailure::Kind;
using Result = Expected<HttpsResponse, HttpsFailure>;

constexpr const char* kHost = "mta-sts.example.net";
constexpr const char* kPath = "/.well-known/mta-sts.txt";

std::string response(const std::string& body, const std::string& head = "HTTP/1.1 200 OK",
                     const std::string& headers = "") {
  return head + "\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + headers + "\r\n" + body;
}

const Certificate& authority() {
  static const Certificate kAuthority = [] {
    CertificateRequest request;
    request.common_name = "Test authority";
    request.use = CertificateRequest::Use::authority;
    return Certificate::self_signed(request);
  }();
  return kAuthority;
}

CertificateRequest good_request() {
  CertificateRequest request;
  request.dns_names = {kHost};
  return request;
}

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct FreeTls {
  void operator()(SSL* tls) const { SSL_free(tls); }
};

/// The server's end of a connection, handshake done.
class TlsPeer {
 public:
  explicit TlsPeer(SSL* tls) : tls_(tls) {}
  void send(const std::string& bytes) const {
    SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()));
  }
  /// Up to the empty line; empty when the client went away.
  [[nodiscard]] std::string read_request() const {
    std::string request;
    std::array<char, 4096> buffer{};
    while (request.find("\r\n\r\n") == std::string::npos) {
      const int size = SSL_read(tls_, buffer.data(), static_cast<int>(buffer.size()));
      if (size <= 0) {
        return {};
      }
      request.append(buffer.data(), static_cast<std::size_t>(size));
    }
    return request;
  }
  void wait_for_end() const {
    char octet = 0;
    while (SSL_read(tls_, &octet, 1) > 0) {
    }
  }

 private:
  SSL* tls_;
};

/// A policy host on loopback; after each request it plays the script.
class PolicyHost {
 public:
  using Script = std::function<void(const TlsPeer&)>;
  explicit PolicyHost(Script script,
                      const Certificate& certificate = authority().issue(good_request()),
                      int newest = TLS1_3_VERSION)
      : context_(SSL_CTX_new(TLS_server_method())),
        script_(std::move(script)),
        server_([this](PeerSocket& socket) { serve(socket); }) {
    SSL_CTX_use_certificate(context_.get(), certificate.get());
    SSL_CTX_use_PrivateKey(context_.get(), certificate.key());
    SSL_CTX_set_security_level(context_.get(), 0);
    SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context_.get(), newest);
    ready_.set_value();
  }
  explicit PolicyHost(const std::string& answer,
                      const Certificate& certificate = authority().issue(good_request()),
                      int newest = TLS1_3_VERSION)
      : PolicyHost([answer](const TlsPeer& peer) { peer.send(answer); }, certificate, newest) {}

  [[nodiscard]] const SocketAddress& address() const { return server_.address(); }
  [[nodiscard]] int connections() const { return connections_; }
  [[nodiscard]] int requests() const { return requests_; }
  [[nodiscard]] std::string last_request() const {
    const std::scoped_lock lock(mutex_);
    return last_request_;
  }
  [[nodiscard]] std::string server_name() const {
    const std::scoped_lock lock(mutex_);
    return server_name_;
  }

 private:
  void serve(PeerSocket& socket) {
    ready_future_.wait();
    ++connections_;
    const std::unique_ptr<SSL, FreeTls> tls(SSL_new(context_.get()));
    SSL_set_fd(tls.get(), socket.fd());
    if (SSL_accept(tls.get()) == 1) {
      const char* name = SSL_get_servername(tls.get(), TLSEXT_NAMETYPE_host_name);
      const TlsPeer peer(tls.get());
      const std::string request = peer.read_request();
      {
        const std::scoped_lock lock(mutex_);
        server_name_ = name == nullptr ? "" : name;
        last_request_ = request;
      }
      if (!request.empty()) {
        ++requests_;
        script_(peer);
      }
      SSL_shutdown(tls.get());
    }
    ERR_clear_error();
  }

  std::unique_ptr<SSL_CTX, FreeContext> context_;
  Script script_;
  std::atomic<int> connections_ = 0;
  std::atomic<int> requests_ = 0;
  mutable std::mutex mutex_;
  std::string last_request_;
  std::string server_name_;
  std::promise<void> ready_;
  std::shared_future<void> ready_future_ = ready_.get_future().share();
  PeerServer server_;  // last: its thread uses the rest
};

struct World {
  World() { options.ca_file = roots.path(); }

  HttpsRequest request(std::vector<SocketAddress> addresses) {
    const std::uint16_t port = addresses.empty() ? std::uint16_t{443} : addresses.front().port();
    return {*DomainName::parse(kHost), port, kPath, std::move(addresses)};
  }

  HttpsClient& client() {
    if (!client_) {
      client_.emplace(loop, options);
    }
    return *client_;
  }

  Result get(const HttpsRequest& what) {
    std::optional<Result> result;
    const Operation operation = client().get(what, [&](Result outcome) {
      result = std::move(outcome);
      loop.stop();
    });
    REQUIRE_FALSE(result);  // never inside get()
    support::run(loop);
    REQUIRE(result);
    return *result;
  }
  Result get(const PolicyHost& host) { return get(request({host.address()})); }

  EventLoop loop;
  support::TemporaryFile roots{authority().pem()};
  HttpsClientOptions options;
  std::optional<HttpsClient> client_;
};

void check_failure(const Result& result, Kind kind, const std::string& reason) {
  REQUIRE_FALSE(result);
  CHECK(static_cast<int>(result.error().kind) == static_cast<int>(kind));
  CHECK(result.error().reason == reason);
}

TEST_CASE("a response comes with status, type and body") {
  World world;
  const PolicyHost host(response("version: STSv1\r\n"));
  const Result result = world.get(host);
  REQUIRE(result);
  CHECK(result->status == 200);
  CHECK(result->content_type == "text/plain");
  CHECK(result->body == "version: STSv1\r\n");
}

TEST_CASE("the request names the host, and carries nothing that nobody asked for") {
  World world;
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
  CHECK(request == std::string("GET ") + kPath + " HTTP/1.1\r\nHost: " + kHost + ":" +
                       std::to_string(port) + "\r\nUser-Agent: stsrelay\r\nAccept: */*\r\n\r\n");
  CHECK(server_name == kHost);
}

TEST_CASE("each status is a response; a redirect is not followed") {
  for (const int status : {201, 204, 206, 301, 302, 304, 307, 401, 404, 500, 503}) {
    CAPTURE(status);
    World world;
    const PolicyHost host([&](const TlsPeer& peer) {
      peer.send(response("", "HTTP/1.1 " + std::to_string(status) + " X",
                         std::string("Location: https://") + kHost + kPath + "\r\n"));
    });
    const Result result = world.get(host);
    REQUIRE(result);
    CHECK(result->status == status);
    support::settle(world.loop);
    CHECK(host.requests() == 1);
    CHECK(host.connections() == 1);
  }
}

TEST_CASE("early hints are passed over (RFC 8297)") {
  World world;
  const PolicyHost host("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nContent-Encoding: gzip\r\n\r\n" +
                        response("policy"));
  const Result result = world.get(host);
  REQUIRE(result);
  CHECK(result->status == 200);
  CHECK(result->body == "policy");
}

TEST_CASE("each request has a connection of its own and leaves no state behind") {
  World world;
  const PolicyHost host(response("policy", "HTTP/1.1 200 OK",
                                 "Set-Cookie: a=b\r\nAlt-Svc: h2=\":1\"; ma=3600\r\n"
                                 "Strict-Transport-Security: max-age=3600\r\n"));
  REQUIRE(world.get(host));
  REQUIRE(world.get(host));
  CHECK(host.connections() == 2);
  CHECK(host.last_request().find("ookie") == std::string::npos);
}

TEST_CASE("a body up to the limit is whole, one octet more is too much") {
  World world;
  for (const bool announced : {true, false}) {
    CAPTURE(announced);
    const auto answer = [&](std::size_t size) {
      const std::string body(size, 'x');
      return announced ? response(body) : "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body;
    };
    const PolicyHost full(answer(world.options.max_body));
    const Result result = world.get(full);
    REQUIRE(result);
    CHECK(result->body.size() == world.options.max_body);
    const PolicyHost beyond(answer(world.options.max_body + 1));
    check_failure(world.get(beyond), Kind::too_large, "policy-too-large");
  }
}

TEST_CASE("an announced length beyond the limit ends the request before the body") {
  World world;
  const PolicyHost host([](const TlsPeer& peer) {
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 131072\r\n\r\n");
    peer.wait_for_end();
  });
  check_failure(world.get(host), Kind::too_large, "policy-too-large");
}

TEST_CASE("a long error page does not hide its status") {
  World world;
  const std::string page(world.options.max_body + 1, 'x');
  for (const std::string& answer : {response(page, "HTTP/1.1 404 Not Found"),
                                    "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n" + page}) {
    const PolicyHost host(answer);
    const Result result = world.get(host);
    REQUIRE(result);
    CHECK(result->status == 404);
    CHECK(result->body.empty());
  }
}

TEST_CASE("an encoded body is refused, the identity is not") {
  World world;
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
  World world;
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

TEST_CASE("a slow body runs into the time for the whole request") {
  World world;
  world.options.total_timeout = milliseconds(150);
  const PolicyHost host([](const TlsPeer& peer) {
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx");
    peer.wait_for_end();
  });
  check_failure(world.get(host), Kind::timeout, "timeout");
}

TEST_CASE("silence before the handshake runs into the time for connecting") {
  World world;
  world.options.connect_timeout = milliseconds(150);
  const PeerServer silent([](const PeerSocket& socket) { std::ignore = socket.read_to_end(); });
  check_failure(world.get(world.request({silent.address()})), Kind::timeout, "handshake-timeout");
}

TEST_CASE("a certificate that does not prove the host is refused by name of the fault") {
  const CertificateRequest good = good_request();
  CertificateRequest common_name_only;
  common_name_only.common_name = kHost;
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
  World world;
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
  World world;
  const Certificate certificate = authority().issue(good_request());
  const PolicyHost old(response("policy"), certificate, TLS1_1_VERSION);
  const Result result = world.get(old);
  check_failure(result, Kind::tls, "tls-alert-70");
  const PolicyHost floor(response("policy"), certificate, TLS1_2_VERSION);
  CHECK(world.get(floor));
}

TEST_CASE("what is no TLS at all is a TLS failure") {
  World world;
  const PeerServer plain([](const PeerSocket& socket) {
    std::ignore = socket.read_some();
    socket.send("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  check_failure(world.get(world.request({plain.address()})), Kind::tls, "tls-wrong-version-number");
  const PeerServer closing([](PeerSocket& socket) {
    std::ignore = socket.read_some();
    socket.close();
  });
  const Result result = world.get(world.request({closing.address()}));
  REQUIRE_FALSE(result);
  CHECK(static_cast<int>(result.error().kind) == static_cast<int>(Kind::tls));
  CHECK(result.error().reason.starts_with("tls-"));
}

TEST_CASE("a refused connection and a missing address are connection failures") {
  World world;
  const SocketAddress gone = [] {
    const PeerServer server([](PeerSocket&) {});
    return server.address();
  }();
  check_failure(world.get(world.request({gone})), Kind::connect, "connection-refused");
  check_failure(world.get(world.request({})), Kind::connect, "no-address");
}

TEST_CASE("of several addresses one that answers is enough") {
  World world;
  const PolicyHost host(response("policy"));
  const std::uint16_t port = host.address().port();
  CHECK(world.get(world.request({*SocketAddress::from_ip("::1", port), host.address()})));
  CHECK(world.get(world.request({*SocketAddress::from_ip("127.0.0.2", port), host.address()})));
}

TEST_CASE("the addresses of one request are not used for another") {
  World world;
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
  World world;
  const PolicyHost host(response("policy"));
  CHECK(world.get(host));
  for (const char* name : {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    unsetenv(name);
  }
}

TEST_CASE("many requests at once are all answered") {
  World world;
  const PolicyHost host(response("policy"));
  std::vector<Operation> operations;
  int answers = 0;
  for (int i = 0; i < 8; ++i) {
    operations.push_back(
        world.client().get(world.request({host.address()}), [&](const Result& result) {
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
    World world;
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
                                   [](const Result&) { FAIL("cancelled"); });
    support::run(world.loop);
    support::settle(world.loop);
  }
}

TEST_CASE("a callback may destroy the client") {
  World world;
  const PolicyHost host(response("policy"));
  int answers = 0;
  const auto done = [&](const Result&) {
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
