// The addresses in a field such as From, To or Cc (RFC 5322 §3.4, with the obsolete forms of §4.4),
// found without changing the field. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace relay::message {

struct ListedAddress {
  std::string text;       ///< "local@domain" or "local", without comments and blanks
  std::size_t begin = 0;  ///< where in the value the address, without its name, stands
  std::size_t end = 0;
};

/// value: what follows the colon; line ends count as blanks. Those in groups are found, too.
/// nullopt: this is no list of addresses.
[[nodiscard]] std::optional<std::vector<ListedAddress>> parse_address_list(std::string_view value);

}  // namespace relay::message
