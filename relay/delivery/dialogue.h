// The dialogue of a session as lines to show: commands, replies and what TLS came to; never
// content, credentials or anything that is not known to be a command. Pure but for the sink.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "relay/net/tls_outcome.h"

namespace relay::delivery {

class DialogueLines {
 public:
  /// direction: "sent", "received" or "tls".
  using Sink = std::function<void(std::string_view direction, std::string text)>;

  /// From now on; empty: nowhere.
  void send_to(Sink sink);
  [[nodiscard]] bool wanted() const { return sink_ != nullptr; }
  /// Whole commands.
  void sent(std::string_view bytes);
  /// Whole lines of an AUTH exchange (RFC 4954): of them only the mechanism's name is shown.
  void sent_credentials(std::string_view bytes);
  /// Replies, in pieces of any cut.
  void received(std::string_view bytes);
  void handshake(const net::TlsOutcome& outcome);

 private:
  void say(std::string_view direction, std::string_view text) const;

  Sink sink_;
  std::string partial_;  ///< a reply line whose end has not come
  /// secret: the server asked for credentials (334), and the next line holds them.
  enum class Next { command, secret } next_ = Next::command;
};

}  // namespace relay::delivery
