// Reports written to a folder instead of being sent.
#pragma once

#include <string>

#include "relay/net/expected.h"

namespace relay::reporting {

/// Writes (replaces) a file; answer: its path. The error names it, what is wrong and the remedy.
[[nodiscard]] Expected<std::string, std::string> write_file(const std::string& folder,
                                                            const std::string& name,
                                                            const std::string& content);

}  // namespace relay::reporting
