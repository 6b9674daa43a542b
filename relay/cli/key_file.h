// Private keys put into files: of their owner alone, and never over another file.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "relay/net/expected.h"
#include "relay/privileges.h"

namespace relay::cli {

/// Makes path (0600) with this content and gives it to owner, if any. The error says why not; then
/// nothing is left behind.
[[nodiscard]] Expected<void, std::string> write_key_file(const std::string& path,
                                                         std::string_view content,
                                                         const std::optional<Account>& owner);

}  // namespace relay::cli
