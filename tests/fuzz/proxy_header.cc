// PROXY headers: what the parser says of some octets holds for any more of them, and the header
// ends within what was looked at.
#include "relay/net/proxy_header.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view octets(reinterpret_cast<const char*>(data), size);
  const auto whole = relay::net::parse_proxy_header(octets);
  if (whole && *whole) {
    const auto& header = **whole;
    if (header.length == 0 || header.length > size ||
        header.client.has_value() != header.server.has_value()) {
      std::abort();
    }
  }
  for (std::size_t n = 0; n < size; ++n) {
    const auto part = relay::net::parse_proxy_header(octets.substr(0, n));
    const bool decided = !part || *part;
    if (!decided) {
      continue;
    }
    // A verdict does not change with what comes after it.
    if (part.has_value() != whole.has_value() ||
        (part && (!*whole || (*part)->length != (*whole)->length ||
                  (*part)->client != (*whole)->client || (*part)->length > n))) {
      std::abort();
    }
  }
  return 0;
}
