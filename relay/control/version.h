// The version of this build, as `stsrelay --version` and `stsrelay status` show it.
#pragma once

#include <string_view>

namespace relay::control {

inline constexpr std::string_view kVersion = STSRELAY_VERSION;

}  // namespace relay::control
