#include "relay/net/domain_name.h"

#include <algorithm>
#include <cstdint>
#include <memory>

#include <fmt/format.h>
#include <idn2.h>

#include "relay/net/ascii.h"

namespace relay::net {
namespace {

constexpr std::size_t kMaximumName = 253;    // octets of text without the root's dot, RFC 1035
constexpr std::size_t kMaximumLabel = 63;    // RFC 1035 §2.3.4
constexpr std::size_t kMaximumInput = 1024;  // more octets than any U-label form needs

struct FreeIdn2 {
  void operator()(std::uint8_t* text) const { idn2_free(text); }
};

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x80; });
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-' || c == '_';
}

Unexpected<DomainName::Fault> fault(std::string reason) {
  return Unexpected<DomainName::Fault>(DomainName::Fault{std::move(reason)});
}

Expected<std::string, DomainName::Fault> to_a_labels(std::string_view text) {
  if (text.size() > kMaximumInput || text.find('\0') != std::string_view::npos) {
    return fault("the name is too long or holds a NUL");
  }
  const std::string input(text);
  std::uint8_t* raw = nullptr;
  const int code = idn2_lookup_u8(reinterpret_cast<const std::uint8_t*>(input.c_str()), &raw,
                                  IDN2_NONTRANSITIONAL);
  const std::unique_ptr<std::uint8_t, FreeIdn2> output(raw);
  if (code != IDN2_OK) {
    return fault(fmt::format("the name has no form for DNS (IDNA): {}", idn2_strerror(code)));
  }
  return std::string(reinterpret_cast<const char*>(output.get()));
}

Expected<void, DomainName::Fault> check_label(std::string_view label) {
  if (label.empty()) {
    return fault("a label of the name is empty");
  }
  if (label.size() > kMaximumLabel) {
    return fault(fmt::format("a label of the name is longer than {} octets", kMaximumLabel));
  }
  const auto* wrong = std::find_if_not(label.begin(), label.end(), is_name_character);
  if (wrong != label.end()) {
    return fault(
        fmt::format("octet 0x{:02x} in the name is not a letter, digit, hyphen or underscore",
                    static_cast<unsigned char>(*wrong)));
  }
  return {};
}

}  // namespace

Expected<DomainName, DomainName::Fault> DomainName::parse(std::string_view text) {
  std::string name(text.substr(0, kMaximumInput + 1));
  if (!is_ascii(text)) {
    auto converted = to_a_labels(text);
    if (!converted) {
      return Unexpected<Fault>(std::move(converted.error()));
    }
    name = std::move(*converted);
  }
  if (!name.empty() && name.back() == '.') {
    name.pop_back();
  }
  if (name.empty()) {
    return fault("the name is empty");
  }
  if (name.size() > kMaximumName) {
    return fault(fmt::format("the name is longer than {} octets", kMaximumName));
  }
  std::transform(name.begin(), name.end(), name.begin(), to_lower);
  std::string_view rest = name;
  std::string_view last;
  while (last.data() == nullptr || last.data() + last.size() != name.data() + name.size()) {
    last = rest.substr(0, rest.find('.'));
    if (auto checked = check_label(last); !checked) {
      return Unexpected<Fault>(std::move(checked.error()));
    }
    rest.remove_prefix(std::min(rest.size(), last.size() + 1));
  }
  // RFC 3696 §2: no top-level domain is all digits, so such text is an IPv4 address.
  if (std::all_of(last.begin(), last.end(), is_digit)) {
    return fault("this is an IP address, not a domain name");
  }
  return DomainName(std::move(name));
}

}  // namespace relay::net
