// One TLS session towards a server: its SSL object, what the certificate turned out to prove, and
// the tickets it earns. Drives no I/O. For relay/net only.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/net/clock.h"
#include "relay/net/tls_client.h"
#include "relay/net/tls_dane.h"
#include "relay/net/tls_outcome.h"
#include "relay/net/tls_session.h"
#include "relay/net/tls_verify.h"

struct ssl_st;
struct ssl_session_st;

namespace relay::net {

class TlsClientSession final : public TlsSession {
 public:
  /// Null when OpenSSL has no memory.
  static std::unique_ptr<TlsClientSession> create(TlsClientContext& context,
                                                  const TlsClientOptions& options);
  ~TlsClientSession() override;
  TlsClientSession(const TlsClientSession&) = delete;
  TlsClientSession& operator=(const TlsClientSession&) = delete;

  /// To be called once, when the handshake is complete: TlsUnverified or TlsVerified.
  TlsOutcome established();

  /// Registers the callback that collects tickets.
  static void collect_tickets(ssl_ctx_st* context);

 private:
  TlsClientSession(const TlsClientOptions& options, Revocation revocation, ssl_st* ssl);
  bool prepare(const TlsClientOptions& options);
  void store(std::shared_ptr<ssl_session_st> ticket, WallTime at);
  void adopt(ResumableSession&& session);
  void judge(WallTime at);
  void judge_revocation();
  [[nodiscard]] WallTime now() const {
    return clock_ != nullptr ? clock_->wall() : SystemClock().wall();
  }
  static int on_ticket(ssl_st* ssl, ssl_session_st* ticket) noexcept;

  TlsSessionCache* sessions_;
  const Clock* clock_;
  std::string key_;
  bool has_name_;
  DescribeChain describe_;
  Revocation revocation_;
  FaultList found_;
  DaneVerdict dane_;
  std::optional<ResumableSession> offered_;  // the ticket this handshake tried to resume
  std::vector<CertificateFault> verdict_;
  TlsParameters parameters_;
  WallTime verdict_until_{};
  // TLS 1.2 tickets come before the verdict is known.
  std::vector<std::shared_ptr<ssl_session_st>> early_tickets_;
};

}  // namespace relay::net
