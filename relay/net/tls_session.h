// One side's TLS session on a stream: its SSL object and how it ends. Drives no I/O. For relay/net
// only.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

struct ssl_st;

namespace relay::net {

class TlsSession {
 public:
  virtual ~TlsSession();
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;

  /// A new reference for a stream to own.
  [[nodiscard]] ssl_st* share() const;
  /// Sends close_notify if the handshake was completed.
  void send_close_notify();

  /// The failure reason for the errors (ERR_get_error values) of a handshake that broke off;
  /// none: the peer closed.
  static std::string failure_reason(std::span<const unsigned long> errors);
  /// The same for an open session: nullopt when no TLS error is among errors.
  static std::optional<std::string> library_failure(std::span<const unsigned long> errors);

 protected:
  enum class State { handshake, open };

  /// Takes ssl over.
  explicit TlsSession(ssl_st* ssl);
  [[nodiscard]] ssl_st* ssl() const { return ssl_.get(); }
  [[nodiscard]] State state() const { return state_; }
  void set_open() { state_ = State::open; }

 private:
  struct FreeSsl {
    void operator()(ssl_st* ssl) const;
  };

  std::unique_ptr<ssl_st, FreeSsl> ssl_;
  State state_ = State::handshake;
};

/// What OpenSSL says about the first of this thread's errors, which are then gone: the cause; those
/// after it tell what could not be done therefore.
[[nodiscard]] std::string tls_library_error();

}  // namespace relay::net
