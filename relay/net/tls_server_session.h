// One TLS session towards a client. Drives no I/O. For relay/net only.
#pragma once

#include <memory>

#include "relay/net/tls_server.h"
#include "relay/net/tls_session.h"

namespace relay::net {

class TlsServerSession final : public TlsSession {
 public:
  /// Null when OpenSSL has no memory.
  static std::unique_ptr<TlsServerSession> create(const TlsServerContext& context);

  /// To be called once, when the handshake is complete.
  TlsAccepted established();

 private:
  using TlsSession::TlsSession;
};

}  // namespace relay::net
