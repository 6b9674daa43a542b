// The TXT record at _mta-sts.<policy domain> (RFC 8461 §3.1): it says that there is a policy, and
// by its id that the policy changed.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "sts/expected.h"

namespace sts {

struct Record {
  std::string id;  ///< 1 to 32 ASCII letters and digits; opaque, compared for equality only
};

/// Why a set of TXT records announces no policy.
enum class RecordFault {
  absent,     ///< none of them begins with "v=STSv1;"
  several,    ///< more than one does, whatever their state
  malformed,  ///< the one that does breaks the grammar
};
/// A stable word: "absent", "several", "malformed".
[[nodiscard]] std::string_view name(RecordFault fault);

/// Picks and parses the record of an RRset. records: one string per RR, its character-strings
/// joined with nothing between them.
[[nodiscard]] Expected<Record, RecordFault> parse_records(std::span<const std::string> records);

}  // namespace sts
