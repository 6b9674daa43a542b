// A listener's TLS, and a client that speaks it, for the tests of Reception.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <variant>

#include "relay/net/tls_client.h"
#include "relay/net/tls_server.h"
#include "tests/relay/net/certificates.h"
#include "tests/relay/reception/reception_fixture.h"

namespace relay::reception::testing {

inline support::Certificate authority() {
  return support::Certificate::self_signed(
      {.common_name = "Test CA", .use = support::CertificateRequest::Use::authority});
}

inline ListenerSettings tls_listener(conf::ListenerTls::Mode mode,
                                     const support::Certificate& issuer) {
  const auto leaf = issuer.issue({.dns_names = {"relay.example"}});
  const support::TemporaryFile file(leaf.pem() + leaf.key_pem());
  ListenerSettings listener;
  listener.rules.tls.mode = mode;
  net::TlsServerOptions options;
  options.certificate_file = file.path();
  listener.files.tls = *net::TlsServerContext::create(options);
  return listener;
}

/// Says what is plain, shakes hands when what was heard ends with the cue ("" : at once), then says
/// the rest and reads to the end.
class TlsClient final : public net::Connection::Observer {
 public:
  struct Script {
    std::string plain, cue, inside;
  };

  TlsClient(World& world, const support::Certificate& issuer, Script script)
      : world_(world), script_(std::move(script)) {
    const support::TemporaryFile ca(issuer.pem());
    context_ = *net::TlsClientContext::create(ca.path());
    connecting_ =
        net::connect(world.loop(), world.address(), std::nullopt, 5s, [this](auto connection) {
          REQUIRE(connection.has_value());
          connection_ = std::move(*connection);
          connection_->set_observer(this);
          if (script_.cue.empty()) {
            start_tls();
          }
          connection_->write(script_.plain);
        });
  }
  virtual ~TlsClient() = default;
  void hang_up() { connection_.reset(); }
  [[nodiscard]] const std::string& heard() const { return heard_; }

 private:
  void on_bytes(std::string_view bytes) override {
    heard_ += bytes;
    if (!inside_ && heard_.ends_with(script_.cue)) {
      start_tls();
    }
  }
  void on_drained() override {}
  void on_closed(net::Connection::CloseReason /*reason*/, std::string /*detail*/) override {
    connection_.reset();
    world_.loop().stop();
  }
  void start_tls() {
    inside_ = true;
    net::TlsClientOptions options;
    options.reference_name = net::DomainName::parse("relay.example").value();
    connection_->start_tls(*context_, options, 5s, [this](const net::TlsOutcome& outcome) {
      REQUIRE(std::holds_alternative<net::TlsVerified>(outcome));
      connection_->write(script_.inside);
    });
  }

  World& world_;
  Script script_;
  std::shared_ptr<net::TlsClientContext> context_;
  bool inside_ = false;
  std::string heard_;
  net::Operation connecting_;
  std::unique_ptr<net::Connection> connection_;
};

inline std::string converse(World& world, const support::Certificate& issuer,
                            TlsClient::Script script) {
  const TlsClient client(world, issuer, std::move(script));
  world.loop().run();
  return client.heard();
}

}  // namespace relay::reception::testing
