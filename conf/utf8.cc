#include "conf/utf8.h"

namespace conf {

std::size_t utf8_length(std::string_view text) {
  const auto octet = [text](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned lead = octet(0);
  if (lead < 0x80) {
    return 1;
  }
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  // RFC 3629 §4: no overlong forms, no surrogates, nothing above U+10FFFF.
  if (lead < 0xc2 || lead > 0xf4 || (lead == 0xe0 && octet(1) < 0xa0) ||
      (lead == 0xed && octet(1) > 0x9f) || (lead == 0xf0 && octet(1) < 0x90) ||
      (lead == 0xf4 && octet(1) > 0x8f)) {
    return 0;
  }
  for (std::size_t i = 1; i < length; ++i) {
    if ((octet(i) & 0xc0) != 0x80) {
      return 0;
    }
  }
  return length;
}

}  // namespace conf
