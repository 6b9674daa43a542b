// The spool's tables and the settings of a connection that writes them.
#pragma once

#include <cstdint>

#include "relay/spool/database.h"
#include "relay/spool/message.h"

namespace relay::spool {

// Rows of a message are keyed (id << 16 | n), so that one range of a plain rowid table holds them:
// the cheapest insert, look-up and delete that SQLite has.
constexpr int kPositionBits = 16;
constexpr std::int64_t kMaxPosition = (1 << kPositionBits) - 1;
constexpr std::int64_t kMaxMessageId = (std::int64_t{1} << (63 - kPositionBits)) - 1;
constexpr std::size_t kSliceOctets = 64UL << 10;

/// The keys of a message's rows; empty for an id that no message can have.
struct KeyRange {
  explicit KeyRange(MessageId id) {
    if (id.value() > 0 && id.value() <= kMaxMessageId) {
      first = id.value() << kPositionBits;
      last = first | kMaxPosition;
    }
  }
  std::int64_t first = 0;
  std::int64_t last = -1;
};

/// Sets the connection up for the spool's writer and creates or checks the schema. The error is a
/// clause for an operator: "is not a stsrelay spool".
Expected<void, std::string> prepare_for_writing(Database& database);
/// The same for a reader's connection.
Expected<void, std::string> prepare_for_reading(Database& database);

}  // namespace relay::spool
