// The configuration that a command goes by when it needs no daemon.
#pragma once

#include <string>
#include <vector>

#include "conf/config.h"
#include "relay/cli/commands.h"
#include "relay/net/expected.h"

namespace relay::cli {

/// The configuration that counts, or the defaults where none is named and none is installed.
struct Ground {
  conf::Config config;
  enum class Source { defaults, file } source = Source::defaults;
};

/// command: the one whose --config may have been given. The errors are ready to print.
[[nodiscard]] Expected<Ground, std::vector<std::string>> ground(const CommonOptions& common,
                                                                const CLI::App& command);

}  // namespace relay::cli
