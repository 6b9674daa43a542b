// What `stsrelay check` asks a running daemon: its overrides, before it judges, and its cache.
#pragma once

#include <string>
#include <vector>

#include "relay/cli/check_examination.h"
#include "relay/net/expected.h"
#include "relay/spool/policy_override.h"

namespace relay::cli {

/// Those in force. socket: of the daemon. The error is a sentence.
[[nodiscard]] Expected<std::vector<spool::PolicyOverride>, std::string> daemon_overrides(
    const std::string& socket);
/// What it has cached for a policy domain.
[[nodiscard]] DaemonCache daemon_cache(const std::string& socket, const std::string& domain);

}  // namespace relay::cli
