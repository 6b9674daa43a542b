// Why the store could not do what it was asked. A value; the only error that leaves relay/spool.
#pragma once

#include <string>

#include "relay/net/expected.h"

namespace relay::spool {

struct StoreFault {
  /// already_there: an imported message that is, or was, in the queue.
  enum class Kind { disk_full, io_error, closed, already_there };
  Kind kind;
  std::string reason;  ///< SQLite's and the system's words, for the log
};
template <class T>
using Stored = Expected<T, StoreFault>;

}  // namespace relay::spool
