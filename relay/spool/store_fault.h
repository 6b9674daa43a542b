// Why the store could not do what it was asked. A value; the only error that leaves relay/spool.
#pragma once

#include <string>

#include "relay/net/expected.h"

namespace relay::spool {

struct StoreFault {
  enum class Kind { disk_full, io_error, closed };
  Kind kind;
  std::string reason;  ///< SQLite's and the system's words, for the log
};
template <class T>
using Stored = Expected<T, StoreFault>;

}  // namespace relay::spool
