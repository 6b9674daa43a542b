// TLS towards clients: one listener's certificate and what it asks of clients. A context never
// changes; a renewed certificate is a new context, and sessions keep the one they began with.
// Threading: a context may be used by several event loops.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/net/expected.h"
#include "relay/net/tls_outcome.h"

struct ssl_ctx_st;

namespace relay::net {

enum class TlsServerVersion { tls12, tls13 };
enum class AskForCertificate { no, yes };

struct TlsServerOptions {
  std::string certificate_file;  ///< PEM: the certificate, then its chain
  std::string key_file;          ///< PEM; empty: in certificate_file
  TlsServerVersion minimum_version = TlsServerVersion::tls12;
  /// A client may show one, or none; a bad one never fails the handshake.
  AskForCertificate client_certificate = AskForCertificate::no;
  std::string client_ca_file;  ///< PEM: whose certificates prove names; empty: nobody's
};

struct TlsServerFault {
  enum class Part { certificate, key, client_ca } part;
  std::string reason;  ///< names the file
};

class TlsServerContext {
 public:
  static Expected<std::shared_ptr<TlsServerContext>, TlsServerFault> create(
      const TlsServerOptions& options);
  ~TlsServerContext();
  TlsServerContext(const TlsServerContext&) = delete;
  TlsServerContext& operator=(const TlsServerContext&) = delete;

  [[nodiscard]] ssl_ctx_st* get() const { return context_; }  ///< for relay/net only

 private:
  explicit TlsServerContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

/// Whether plaintext went before: then what waits to be sent goes out before the handshake, and
/// what the client sent meanwhile was injected (RFC 3207 §6).
enum class TlsStart { after_reply, at_once };

/// The certificate that a client showed.
struct ClientCertificate {
  std::string sha256;              ///< lower-case hex
  bool vouched = false;            ///< client_ca issued it
  std::vector<std::string> names;  ///< dNSName SANs in lower case; none unless vouched
};

struct TlsAccepted {
  std::string version;  ///< "TLSv1.3"
  std::string cipher;   ///< "TLS_AES_256_GCM_SHA384"
  std::optional<ClientCertificate> certificate{};
};

using TlsServerOutcome = Expected<TlsAccepted, TlsFailed>;

}  // namespace relay::net
