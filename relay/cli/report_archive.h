// Files in a zip archive, within limits. The only code that knows libarchive.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "relay/net/expected.h"

namespace relay::cli {

struct ZipLimits {
  std::size_t entries = 10'000;
  std::size_t entry_octets = std::size_t{40} << 20U;
  std::size_t total_octets = std::size_t{512} << 20U;
};

/// A file of an archive; the error says why it has no octets.
struct ZipEntry {
  std::string name;
  Expected<std::string, std::string> octets;
};

/// Calls each for one file after the other; the error says why not all were read.
[[nodiscard]] Expected<void, std::string> read_zip(std::string_view octets,
                                                   const std::function<void(ZipEntry)>& each,
                                                   const ZipLimits& limits = {});

}  // namespace relay::cli
