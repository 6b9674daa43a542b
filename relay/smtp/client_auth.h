// SMTP AUTH as a client (RFC 4954): PLAIN (RFC 4616), LOGIN, XOAUTH2 and OAUTHBEARER (RFC 7628), as
// the lines of one exchange. Pure. Secrets are wiped when they are no longer needed.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace relay::smtp {

/// Text that is wiped at its end; never logged, never copied.
class Secret {
 public:
  explicit Secret(std::string text);
  ~Secret();
  Secret(Secret&& other) noexcept;
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret& operator=(Secret&&) = delete;
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::string text_;
};

/// Which mechanisms a server offers, as far as they are known here.
struct AuthMechanisms {
  bool plain = false, login = false, xoauth2 = false, oauthbearer = false;
  std::string words;  ///< all that was offered, for messages to people
};

/// Whom we say to be, and what proves it.
struct ClientAuth {
  enum class Kind { password, token };
  /// The least that a session must be before they are sent (RFC 4954 §4).
  enum class SendOver { verified, encrypted, plaintext };

  std::string user;
  Kind kind = Kind::password;
  SendOver send_over = SendOver::verified;
  Secret secret;
};

/// One AUTH command and the answers to what the server asks after it.
class AuthDialogue {
 public:
  AuthDialogue(AuthDialogue&&) = default;
  AuthDialogue& operator=(AuthDialogue&&) = default;
  AuthDialogue(const AuthDialogue&) = delete;
  AuthDialogue& operator=(const AuthDialogue&) = delete;
  ~AuthDialogue() = default;

  /// With the best mechanism that is offered; nullopt: none fits.
  [[nodiscard]] static std::optional<AuthDialogue> choose(const ClientAuth& auth,
                                                          const AuthMechanisms& offered);
  /// "AUTH PLAIN …", without CRLF.
  [[nodiscard]] std::string command();
  /// The line that answers a 334, "*" when there is nothing left to say; nullopt after that.
  [[nodiscard]] std::optional<std::string> answer();

 private:
  AuthDialogue(std::string mechanism, std::vector<Secret> responses)
      : mechanism_(std::move(mechanism)), responses_(std::move(responses)) {}

  std::string mechanism_;
  std::vector<Secret> responses_;  ///< lines, the last one "*"
  std::size_t next_ = 0;
  enum class Initial { sent, kept } initial_ = Initial::sent;
};

}  // namespace relay::smtp
