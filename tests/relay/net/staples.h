// OCSP responses made at run time, and servers that staple them.
#pragma once

#include <atomic>
#include <chrono>
#include <cstring>
#include <optional>
#include <string>
#include <utility>

#include <openssl/crypto.h>
#include <openssl/ssl.h>

#include "tests/relay/net/certificates.h"

namespace support {

struct StapleRequest {
  enum class Status { good, revoked, unknown };
  Status status = Status::good;
  std::chrono::seconds since = -std::chrono::hours(1);                             ///< from now
  std::optional<std::chrono::seconds> until = std::chrono::seconds(24 * 60 * 60);  ///< from now
};

/// A response in DER about subject, which issuer issued, signed by signer.
[[nodiscard]] std::string make_staple(const Certificate& subject, const Certificate& issuer,
                                      const Certificate& signer, const StapleRequest& request);

/// The responder's "try later".
[[nodiscard]] std::string no_answer();

/// Gives a server's handshakes a staple where the client asks for one.
class Stapler {
 public:
  /// context's handshakes; empty: none has one. To be called once, before the first.
  void serve(SSL_CTX* context, std::string staple) {
    staple_ = std::move(staple);
    // Not by the macros: they hold C casts.
    SSL_CTX_callback_ctrl(context, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB,
                          reinterpret_cast<void (*)()>(&Stapler::on_status));
    SSL_CTX_ctrl(context, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB_ARG, 0, this);
  }
  [[nodiscard]] int asked() const { return asked_; }  ///< handshakes whose client did

 private:
  static int on_status(SSL* ssl, void* self) noexcept {
    auto* const stapler = static_cast<Stapler*>(self);
    ++stapler->asked_;
    const std::string& staple = stapler->staple_;
    void* const copy = OPENSSL_malloc(staple.size() + 1);
    if (staple.empty() || copy == nullptr) {
      OPENSSL_free(copy);
      return SSL_TLSEXT_ERR_NOACK;
    }
    std::memcpy(copy, staple.data(), staple.size());
    SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_STATUS_REQ_OCSP_RESP, static_cast<long>(staple.size()), copy);
    return SSL_TLSEXT_ERR_OK;
  }

  std::string staple_;
  std::atomic<int> asked_ = 0;
};

}  // namespace support
