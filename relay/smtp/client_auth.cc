#include "relay/smtp/client_auth.h"

#include <cstring>
#include <utility>

#include "relay/smtp/base64.h"

namespace relay::smtp {
namespace {

// RFC 4954 §4: a command with its initial response is no longer than any other (RFC 5321
// §4.5.3.1.4), CRLF included.
constexpr std::size_t kLongestCommand = 510;

std::string encoded(std::string text) {
  std::string result = base64_encode(text);
  ::explicit_bzero(text.data(), text.size());
  return result;
}

std::string plain(const ClientAuth& auth) {
  std::string text(1, '\0');
  text.reserve(auth.user.size() + auth.secret.text().size() + 2);
  text.append(auth.user).append(1, '\0').append(auth.secret.text());
  return encoded(std::move(text));
}

std::string bearer(std::string_view head, const ClientAuth& auth) {
  std::string text(head);
  text.reserve(head.size() + auth.secret.text().size() + 20);
  text.append("\1auth=Bearer ").append(auth.secret.text()).append("\1\1");
  return encoded(std::move(text));
}

/// The lines of an exchange; the last one cancels it (RFC 4954 §4).
template <class... Texts>
std::vector<Secret> lines(Texts... texts) {
  std::vector<Secret> result;
  result.reserve(sizeof...(texts) + 1);
  (result.emplace_back(std::move(texts)), ...);
  result.emplace_back("*");
  return result;
}

}  // namespace

Secret::Secret(std::string text) {
  // A short string is copied, not taken over.
  text_.swap(text);
  ::explicit_bzero(text.data(), text.capacity());
}

Secret::~Secret() {
  ::explicit_bzero(text_.data(), text_.size());
}

Secret::Secret(Secret&& other) noexcept {
  text_.swap(other.text_);
  ::explicit_bzero(other.text_.data(), other.text_.capacity());
}

std::optional<AuthDialogue> AuthDialogue::choose(const ClientAuth& auth,
                                                 const AuthMechanisms& offered) {
  if (auth.kind == ClientAuth::Kind::password) {
    if (offered.plain) {
      return AuthDialogue("PLAIN", lines(plain(auth)));
    }
    if (offered.login) {
      AuthDialogue dialogue("LOGIN", lines(encoded(auth.user), encoded(auth.secret.text())));
      dialogue.initial_ = Initial::kept;
      return dialogue;
    }
    return std::nullopt;
  }
  if (offered.oauthbearer) {
    // RFC 7628 §3.2.3: a lone kvsep acknowledges the server's reason.
    return AuthDialogue("OAUTHBEARER",
                        lines(bearer("n,a=" + auth.user + ",", auth), std::string("AQ==")));
  }
  if (offered.xoauth2) {
    return AuthDialogue("XOAUTH2", lines(bearer("user=" + auth.user, auth), std::string()));
  }
  return std::nullopt;
}

std::string AuthDialogue::command() {
  std::string line = "AUTH " + mechanism_;
  const std::size_t length = line.size() + 1 + responses_.front().text().size();
  if (initial_ == Initial::sent && length <= kLongestCommand) {
    line.reserve(length);
    line.append(1, ' ').append(responses_[next_++].text());
  }
  return line;
}

std::optional<std::string> AuthDialogue::answer() {
  if (next_ == responses_.size()) {
    return std::nullopt;
  }
  return responses_[next_++].text();
}

}  // namespace relay::smtp
