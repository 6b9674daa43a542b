// A scripted policy host on loopback, and a client with a loop of its own that asks it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "relay/net/https_client.h"
#include "tests/relay/net/certificates.h"
#include "tests/relay/net/loop_fixture.h"
#include "tests/relay/net/staples.h"

namespace support {

using HttpsResult = relay::Expected<relay::net::HttpsResponse, relay::net::HttpsFailure>;

inline constexpr const char* kPolicyName = "mta-sts.example.net";
inline constexpr const char* kPolicyPath = "/.well-known/mta-sts.txt";

inline std::string response(const std::string& body, const std::string& head = "HTTP/1.1 200 OK",
                            const std::string& headers = "") {
  return head + "\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n" + headers + "\r\n" + body;
}

inline const Certificate& authority() {
  static const Certificate kAuthority = [] {
    CertificateRequest request;
    request.common_name = "Test authority";
    request.use = CertificateRequest::Use::authority;
    return Certificate::self_signed(request);
  }();
  return kAuthority;
}

inline CertificateRequest good_request() {
  CertificateRequest request;
  request.dns_names = {kPolicyName};
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
  /// The connection will end without a close_notify, as one that was cut.
  void cut() const { SSL_set_quiet_shutdown(tls_, 1); }
  /// The connection will end with a reset.
  void reset() const {
    const linger at_once{1, 0};
    ::setsockopt(SSL_get_fd(tls_), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    cut();
  }
  /// With the content that it announces; empty when the client went away.
  [[nodiscard]] std::string read_request() const {
    std::string request;
    std::array<char, 4096> buffer{};
    while (!complete(request)) {
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
  static bool complete(const std::string& request) {
    const std::string length = "\r\nContent-Length: ";
    const std::size_t end = request.find("\r\n\r\n");
    const std::size_t announced = request.find(length);
    if (end == std::string::npos || announced == std::string::npos || announced > end) {
      return end != std::string::npos;
    }
    return request.size() >= end + 4 + std::stoul(request.substr(announced + length.size()));
  }

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

  [[nodiscard]] const relay::net::SocketAddress& address() const { return server_.address(); }
  /// To be called once, before the first connection.
  void staple(std::string response) { stapler_.serve(context_.get(), std::move(response)); }
  [[nodiscard]] const Stapler& stapler() const { return stapler_; }
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
  Stapler stapler_;
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

struct HttpsWorld {
  HttpsWorld() { options.ca_file = roots.path(); }

  relay::net::HttpsRequest request(std::vector<relay::net::SocketAddress> addresses) {
    const std::uint16_t port = addresses.empty() ? std::uint16_t{443} : addresses.front().port();
    return {*relay::net::DomainName::parse(kPolicyName), port, kPolicyPath, std::move(addresses)};
  }

  relay::net::HttpsClient& client() {
    if (!client_) {
      client_.emplace(loop, options);
    }
    return *client_;
  }

  HttpsResult get(const relay::net::HttpsRequest& what) {
    return result_of([&](auto done) { return client().get(what, std::move(done)); });
  }
  HttpsResult get(const PolicyHost& host) { return get(request({host.address()})); }
  HttpsResult post(const PolicyHost& host, const relay::net::HttpsPost& post) {
    const auto what = request({host.address()});
    return result_of([&](auto done) { return client().post(what, post, std::move(done)); });
  }

  template <class Start>
  HttpsResult result_of(const Start& start) {
    std::optional<HttpsResult> result;
    const relay::net::Operation operation =
        start(relay::net::HttpsClient::Callback([&](HttpsResult outcome) {
          result = std::move(outcome);
          loop.stop();
        }));
    REQUIRE_FALSE(result);  // never inside the starting call
    run(loop);
    REQUIRE(result);
    return *result;
  }

  relay::net::EventLoop loop;
  TemporaryFile roots{authority().pem()};
  relay::net::HttpsClientOptions options;
  std::optional<relay::net::HttpsClient> client_;
};

inline void check_failure(const HttpsResult& result, relay::net::HttpsFailure::Kind kind,
                          const std::string& reason) {
  REQUIRE_FALSE(result);
  CHECK(static_cast<int>(result.error().kind) == static_cast<int>(kind));
  CHECK(result.error().reason == reason);
}

}  // namespace support
