// Requests about the queue, as values; relay/control/control_protocol.h has the others.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/spool/message.h"
#include "relay/spool/message_change.h"

namespace relay::control {

inline constexpr std::size_t kDefaultLimit = 1000;
inline constexpr std::size_t kMaxLimit = 10'000;

/// Which messages are meant: all given parts must hold. sender and recipient are looked for
/// anywhere in the address, held_for in the reason of a hold, all without regard to case.
struct QueueFilter {
  std::string domain;  ///< recipient domain
  std::string sender;
  std::string recipient;
  std::chrono::seconds older_than{0};  ///< 0: any age
  std::chrono::seconds newer_than{0};
  bool held = false;  ///< only held ones
  std::string held_for;
  std::string held_client;  ///< only held because of this client; never in a request
  [[nodiscard]] bool empty() const;
};

/// Messages in order of arrival.
struct QueueList {
  QueueFilter filter;
  std::size_t limit = kDefaultLimit;
  std::optional<spool::MessageId> after;  ///< the next of the page before
};
struct QueueShow {
  spool::MessageId id;
};

enum class QueueAction { hold, release, retry, requeue, bounce, remove };

/// Does something to messages: those named, those that match, or (all) every one.
struct QueueChange {
  QueueAction action = QueueAction::hold;
  std::vector<spool::MessageId> ids;
  QueueFilter filter;
  bool all = false;
  bool dry_run = false;  ///< only count them
  std::string reason;    ///< hold, bounce
  std::string by;        ///< filled in by sign(), never by the peer
};

/// Lets a destination rest.
struct QueuePause {
  spool::Pause::Kind kind = spool::Pause::Kind::everything;
  std::string name;
  std::string reason;
  std::string by;  ///< filled in by sign()
};
struct QueueResume {
  spool::Pause::Kind kind = spool::Pause::Kind::everything;
  std::string name;
  std::string by;  ///< filled in by sign()
};

/// Clients that mail comes from, by name.
struct ClientList {
  std::size_t limit = kDefaultLimit;
  std::string after;  ///< the next of the page before
};
/// Takes a client's mail from here on, but holds it.
struct ClientHoldSet {
  std::string name;
  std::string reason;
  std::string by;  ///< filled in by sign()
};
/// Ends a client's hold, and of its messages unless they are to stay held.
struct ClientRelease {
  std::string name;
  bool keep_messages = false;
  std::string by;  ///< filled in by sign()
};

/// How much waits by recipient domain, or by sender, and how old it is.
struct QueueTop {
  bool by_sender = false;
  std::size_t limit = 20;
};
/// What happened to a message, what comes next and why.
struct QueueWhy {
  spool::MessageId id;
};

/// Takes in what lies in import_folder().
struct QueueImportRequest {};

/// Where exported messages are put for a daemon whose queue is there.
[[nodiscard]] std::string import_folder(const std::string& queue_path);

/// "hold", "release" …
[[nodiscard]] std::string_view name(QueueAction action);

}  // namespace relay::control
