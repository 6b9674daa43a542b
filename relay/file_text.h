// Reading small files whole, when the daemon starts, reloads or is asked to check.
#pragma once

#include <string>

#include "relay/net/expected.h"

namespace relay {

/// The error is the system's words.
[[nodiscard]] Expected<std::string, std::string> file_text(const std::string& path);

/// The only line of a file with a secret, without its end. The error, a sentence, names the file.
[[nodiscard]] Expected<std::string, std::string> secret_line(const std::string& path);

}  // namespace relay
