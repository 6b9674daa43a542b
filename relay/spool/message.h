// What the queue holds about a message: its identity, envelope and recipients. Values.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/net/clock.h"
#include "relay/smtp/message_tls.h"

namespace relay::spool {

/// Queue id: unique for the life of the spool, rising with time of arrival.
class MessageId {
 public:
  constexpr explicit MessageId(std::int64_t value) : value_(value) {}
  /// Parses text(); nullopt for anything else.
  static std::optional<MessageId> parse(std::string_view text);
  [[nodiscard]] constexpr std::int64_t value() const { return value_; }
  /// Upper-case letters and digits without vowels, at most 13: "3KX0W7QZ2H".
  [[nodiscard]] std::string text() const;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 misreads the default.
  friend constexpr auto operator<=>(MessageId, MessageId) = default;

 private:
  std::int64_t value_;
};

using smtp::MessageTls;

/// What goes first when several messages could be tried.
enum class Priority { high, normal, bulk };
[[nodiscard]] std::string_view name(Priority priority);

enum class Origin {
  submitted,
  notice,
  report
};  ///< accepted from a client | our DSN | our TLS report

struct Recipient {
  std::uint32_t index = 0;  ///< position in the transaction, stable for life
  std::string address;      ///< "local@domain"; domain in A-labels, lower case
  std::string domain;       ///< A-labels, or an address literal in brackets
  std::string notify;       ///< RFC 3461 NOTIFY as received; empty: absent
  std::string orcpt;        ///< RFC 3461 ORCPT as received (xtext); empty: absent
  int attempts = 0;         ///< delivery attempts that ended in a deferral
  net::WallTime next_try{};
  std::string last_result;   ///< one sentence or reply of the last attempt; empty before it
  net::WallTime last_try{};  ///< end of the last attempt; the epoch: none yet
};

struct Envelope {
  MessageId id{0};
  Origin origin = Origin::submitted;
  std::string sender;  ///< "local@domain"; empty: null reverse-path
  net::WallTime received_at{};
  net::WallTime expires_at{};
  std::uint64_t size = 0;  ///< octets of content, with the Received header
  bool eight_bit = false;  ///< BODY=8BITMIME or content with octets over 127
  bool smtputf8 = false;
  MessageTls tls = MessageTls::normal;
  bool delay_told = false;  ///< the sender was told of the delay
  std::string ret;          ///< RFC 3461 RET
  std::string envid;        ///< RFC 3461 ENVID (xtext)
  std::string client_ip;
  std::string client_helo;
  std::string user;  ///< who signed in with AUTH; empty: nobody
  /// Where it came in, as conf::ListenAddress::text() says; empty: we made it, or it was accepted
  /// before this was noted.
  std::string listener;
  Priority priority = Priority::normal;
  std::string held;         ///< why nothing is tried until it is released; empty: it is not held
  net::WallTime held_at{};  ///< since when, if held
  /// What lifetimes by domain and the delay notice count from: arrival, later by the time it was
  /// held, or the requeue. The epoch in a new message: received_at.
  net::WallTime life_from{};
  /// Its id in the queue that it was exported from; 0: it came in the ordinary way. With
  /// received_at it tells whether the message was imported before. Not stored with the message.
  MessageId imported_id{0};
  /// Recipients still to be settled, by index.
  std::vector<Recipient> recipients;
};

/// A message made by us (DSN, report): stored in the same transaction as what caused it.
struct Notice {
  Envelope envelope;  ///< id from Spool::new_id(); recipients filled in
  std::string content;
};

}  // namespace relay::spool

template <>
struct std::hash<relay::spool::MessageId> {
  std::size_t operator()(relay::spool::MessageId id) const noexcept {
    return std::hash<std::int64_t>{}(id.value());
  }
};
