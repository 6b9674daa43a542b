// What the spool thread is asked to do, as values. Each is applied in the transaction of its group
// and answered after that transaction's commit.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "relay/net/event_loop.h"
#include "relay/spool/client_hold.h"
#include "relay/spool/incoming.h"
#include "relay/spool/message.h"
#include "relay/spool/message_change.h"
#include "relay/spool/message_store.h"
#include "relay/spool/spool.h"

namespace relay::spool {

struct Slice {
  std::uint32_t n = 0;
  std::uint32_t crc = 0;
  std::string octets;
};

struct WriteSlice {
  std::shared_ptr<Transfer> transfer;
  Slice slice;
};

struct CommitMessage {
  std::shared_ptr<Transfer> transfer;
  std::shared_ptr<const Envelope> envelope;
  std::optional<Slice> last;
  std::uint32_t slices = 0;    ///< all, the last one included
  bool already_there = false;  ///< found while applying: it was imported before
};

struct Settle {
  Settlement settlement;
  std::reference_wrapper<net::EventLoop> loop;
  std::function<void(Stored<void>)> done;
  std::optional<RemovedMessage> removed{};  ///< found while applying, as is the next
  bool notices_stored = false;
  bool tells_delay = false;  ///< delay_notice is stored
};

struct Count {
  std::vector<rpt::SessionResult> sessions;
};

struct ChangeMessages {
  std::vector<MessageChange> changes;
  std::reference_wrapper<net::EventLoop> loop;
  std::function<void(Stored<std::vector<std::size_t>>)> done;
  std::vector<std::size_t> changed{};  ///< found while applying, as is the next
  std::vector<RemovedMessage> removed{};
};

struct SavePause {
  Pause pause;
  std::reference_wrapper<net::EventLoop> loop;
  std::function<void(Stored<void>)> done;
};

struct RemovePause {
  Pause::Kind kind;
  std::string name;
  std::reference_wrapper<net::EventLoop> loop;
  std::function<void(Stored<std::size_t>)> done;
  std::size_t removed = 0;  ///< found while applying
};

struct SaveClientHold {
  ClientHold hold;
  std::reference_wrapper<net::EventLoop> loop;
  std::function<void(Stored<void>)> done;
};

struct RemoveClientHold {
  std::string name;
  std::reference_wrapper<net::EventLoop> loop;
  std::function<void(Stored<std::size_t>)> done;
  std::size_t removed = 0;  ///< found while applying
};

struct SavePolicy {
  sts::CachedPolicy policy;
  PolicyWrite write;
};

struct ForgetPolicy {
  std::string domain;
  PolicyWrite write;
};

struct SaveTrouble {
  PolicyTrouble trouble;
  net::WallTime at;
};

struct PurgePolicies {
  net::WallTime now;
  std::reference_wrapper<net::EventLoop> loop;
  std::function<void(Stored<std::size_t>)> done;
  std::size_t removed = 0;  ///< found while applying
};

struct SaveOverride {
  PolicyOverride rule;
  std::reference_wrapper<net::EventLoop> loop;
  std::function<void(Stored<void>)> done;
};

struct RemoveOverride {
  std::string domain;
  std::reference_wrapper<net::EventLoop> loop;
  std::function<void(Stored<std::size_t>)> done;
  std::size_t removed = 0;  ///< found while applying
};

struct WriteReport {
  ReportWrite write;
  std::reference_wrapper<net::EventLoop> loop;
  std::function<void(Stored<void>)> done;
};

/// Removes slices of a message that is gone or will never be; repeats itself until none is left.
struct Sweep {
  LooseSlices slices;
};

using Request =
    std::variant<WriteSlice, CommitMessage, Settle, Count, ChangeMessages, SavePause, RemovePause,
                 SaveClientHold, RemoveClientHold, SavePolicy, ForgetPolicy, SaveTrouble,
                 PurgePolicies, SaveOverride, RemoveOverride, WriteReport, Sweep>;

}  // namespace relay::spool
