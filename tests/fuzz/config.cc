// Any text is either refused with reasons, or means a configuration that survives being written.
#include "conf/config.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto config = conf::parse({reinterpret_cast<const char*>(data), size});
  if (!config) {
    if (config.error().empty() || config.error().front().reason.empty()) {
      std::abort();
    }
    return 0;
  }
  const auto again = conf::parse(conf::to_yaml(*config));
  if (!again || *again != *config) {
    std::abort();
  }
  return 0;
}
