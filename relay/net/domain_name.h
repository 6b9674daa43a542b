// A DNS host or domain name in the one form everything else uses: lower-case A-labels without a
// trailing dot (RFC 5890, RFC 8461 §3.4). Pure.
#pragma once

#include <compare>
#include <functional>
#include <string>
#include <string_view>

#include "relay/net/expected.h"

namespace relay::net {

class DomainName {
 public:
  /// Why a text is no usable domain name, as one sentence for a person.
  struct Fault {
    std::string reason;
  };

  /// Parses a name given by a person or a peer: U-labels are converted (UTS 46,
  /// non-transitional), case folded, one trailing dot dropped. Refuses empty names and labels,
  /// labels over 63 and names over 253 octets, IP address text, and characters outside letters,
  /// digits, hyphen and underscore.
  static Expected<DomainName, Fault> parse(std::string_view text);

  [[nodiscard]] const std::string& text() const { return text_; }
  // clang-tidy takes the literal 0 in the generated comparison for a null pointer.
  friend auto operator<=>(const DomainName&,
                          const DomainName&) = default;  // NOLINT(modernize-use-nullptr)

 private:
  explicit DomainName(std::string text) : text_(std::move(text)) {}
  std::string text_;
};

}  // namespace relay::net

template <>
struct std::hash<relay::net::DomainName> {
  std::size_t operator()(const relay::net::DomainName& name) const noexcept {
    return std::hash<std::string>{}(name.text());
  }
};
