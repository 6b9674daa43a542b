// A scripted TLS server for tests, blocking, on a thread of its own, and one handshake with it.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <openssl/ssl.h>

#include "relay/net/connection.h"
#include "relay/net/tls_client.h"
#include "tests/relay/net/certificates.h"
#include "tests/relay/net/loop_fixture.h"
#include "tests/relay/net/staples.h"

namespace support {

struct TlsServerOptions {
  int newest_version = 0;  ///< 0: the library's
  std::string ciphers{};   ///< empty: the library's
  /// Sent with the leaf.
  std::vector<Certificate> intermediates{};
  std::chrono::seconds ticket_life{0};  ///< the hint it gives; 0: the library's
  std::string staple{};                 ///< OCSP response in DER; empty: none
};

/// Handshakes with each connection, then echoes until the peer ends.
class TlsServer {
 public:
  TlsServer(const Certificate& certificate, const TlsServerOptions& options)
      : context_(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free),
        server_([this](PeerSocket& socket) { serve(socket); }) {
    REQUIRE(SSL_CTX_use_certificate(context_.get(), certificate.get()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey(context_.get(), certificate.key()) == 1);
    for (const auto& intermediate : options.intermediates) {
      REQUIRE(SSL_CTX_add1_chain_cert(context_.get(), intermediate.get()) == 1);
    }
    SSL_CTX_set_security_level(context_.get(), 0);
    REQUIRE(SSL_CTX_set_min_proto_version(context_.get(), TLS1_VERSION) == 1);
    REQUIRE(SSL_CTX_set_max_proto_version(context_.get(), options.newest_version) == 1);
    if (!options.ciphers.empty()) {
      REQUIRE(SSL_CTX_set_cipher_list(context_.get(), options.ciphers.c_str()) == 1);
    }
    if (options.ticket_life > std::chrono::seconds::zero()) {
      SSL_CTX_set_timeout(context_.get(), options.ticket_life.count());
    }
    stapler_.serve(context_.get(), options.staple);
    // Not by the macros: they hold C casts.
    SSL_CTX_callback_ctrl(context_.get(), SSL_CTRL_SET_TLSEXT_SERVERNAME_CB,
                          reinterpret_cast<void (*)()>(&TlsServer::on_name));
    SSL_CTX_ctrl(context_.get(), SSL_CTRL_SET_TLSEXT_SERVERNAME_ARG, 0, this);
  }

  [[nodiscard]] const relay::net::SocketAddress& address() const { return server_.address(); }
  [[nodiscard]] const Stapler& stapler() const { return stapler_; }
  /// The SNI of the last handshake; "" without one. Read it after the peer's answer arrived.
  [[nodiscard]] std::string last_name() const {
    const std::scoped_lock lock(mutex_);
    return last_name_;
  }

 private:
  static int on_name(SSL* ssl, int* /*alert*/, void* self) noexcept {
    const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    auto* server = static_cast<TlsServer*>(self);
    const std::scoped_lock lock(server->mutex_);
    server->last_name_ = name != nullptr ? name : "";
    return SSL_TLSEXT_ERR_OK;
  }

  void serve(PeerSocket& socket) const {
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context_.get()), &SSL_free);
    SSL_set_fd(ssl.get(), socket.fd());
    if (SSL_accept(ssl.get()) != 1) {
      return;
    }
    std::array<char, 4096> buffer{};
    for (int n = 1; n > 0;) {
      n = SSL_read(ssl.get(), buffer.data(), static_cast<int>(buffer.size()));
      if (n > 0) {
        SSL_write(ssl.get(), buffer.data(), n);
      }
    }
    SSL_shutdown(ssl.get());
  }

  mutable std::mutex mutex_;
  std::string last_name_;
  Stapler stapler_;
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  PeerServer server_;
};

inline constexpr const char* kHost = "mx.example.com";

inline Certificate new_authority() {
  return Certificate::self_signed(
      {.common_name = "Test CA", .use = CertificateRequest::Use::authority});
}

inline std::shared_ptr<relay::net::TlsClientContext> trusting(
    const Certificate& authority,
    relay::net::Revocation revocation = relay::net::Revocation::stapled) {
  const TemporaryFile file(authority.pem());
  auto context = relay::net::TlsClientContext::create(file.path(), revocation);
  REQUIRE(context.has_value());
  return *context;
}

inline relay::net::TlsClientOptions options_for(
    const char* host, relay::net::TlsFloor floor = relay::net::TlsFloor::any,
    relay::net::TlsSessionCache* sessions = nullptr) {
  return {*relay::net::DomainName::parse(host), floor, sessions, "key"};
}

/// One line for comparison: "verified", "unverified <kind> <code>, …", "failed <reason>".
inline std::string text_of(const relay::net::TlsOutcome& outcome) {
  if (const auto* failed = std::get_if<relay::net::TlsFailed>(&outcome)) {
    return "failed " + failed->reason;
  }
  const auto* unverified = std::get_if<relay::net::TlsUnverified>(&outcome);
  if (unverified == nullptr) {
    return std::holds_alternative<relay::net::TlsVerified>(outcome) ? "verified" : "not offered";
  }
  std::string text = "unverified";
  for (const auto& fault : unverified->faults) {
    switch (fault.kind) {
      case relay::net::CertificateFaultKind::host_mismatch:
        text += " mismatch:";
        break;
      case relay::net::CertificateFaultKind::expired:
        text += " expired:";
        break;
      case relay::net::CertificateFaultKind::not_trusted:
        text += " untrusted:";
        break;
    }
    text += fault.code.starts_with("X509_V_ERR_") ? fault.code.substr(11) : fault.code;
  }
  return text;
}

inline relay::net::TlsParameters parameters_of(const relay::net::TlsOutcome& outcome) {
  if (const auto* unverified = std::get_if<relay::net::TlsUnverified>(&outcome)) {
    return unverified->parameters;
  }
  REQUIRE(std::holds_alternative<relay::net::TlsVerified>(outcome));
  return std::get<relay::net::TlsVerified>(outcome).parameters;
}

/// Connects, shakes hands and, unless that failed, has one echo answered.
inline relay::net::TlsOutcome shake_hands(
    const relay::net::SocketAddress& address, relay::net::TlsClientContext& context,
    const relay::net::TlsClientOptions& options,
    std::chrono::milliseconds timeout = std::chrono::seconds(20)) {
  relay::net::EventLoop loop;
  Recorder observer;
  auto connection = open_connection(loop, address);
  connection->set_observer(&observer);
  observer.bytes_arrived = observer.stream_closed = [&] { loop.stop(); };
  relay::net::TlsOutcome result;
  bool returned = false;
  connection->start_tls(context, options, timeout, [&](relay::net::TlsOutcome outcome) {
    CHECK(returned);
    result = std::move(outcome);
    if (std::holds_alternative<relay::net::TlsFailed>(result)) {
      loop.stop();
    } else {
      connection->write("ping");
    }
  });
  returned = true;
  run(loop);
  CHECK(observer.received == (std::holds_alternative<relay::net::TlsFailed>(result) ? "" : "ping"));
  connection.reset();
  settle(loop);
  return result;
}

}  // namespace support
