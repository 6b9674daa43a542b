// The preload file: pins of policy domains that hold until a domain's own policy is known, so that
// the first contact is protected, too. YAML text in, a value out. Pure.
//   example.com: [mx1.example.com, "*.mail.example.com"]
//   example.net: {mx: [mx.example.net], until: 2026-12-31}
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "conf/config.h"

namespace conf {

struct PreloadEntry {
  std::vector<std::string> mx;  ///< never empty; lower case
  std::optional<Moment> until;
  friend bool operator==(const PreloadEntry&, const PreloadEntry&) = default;
};

/// By policy domain, lower case; no wildcards.
using Preload = std::map<std::string, PreloadEntry>;

/// All errors found are returned, by line.
[[nodiscard]] tl::expected<Preload, std::vector<ConfigError>> parse_preload(std::string_view yaml);

}  // namespace conf
