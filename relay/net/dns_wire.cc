#include "relay/net/dns_wire.h"

#include <algorithm>

namespace relay::net {
namespace {

/// Printable ASCII but for what RFC 1035 §5.1 escapes and the label separator.
bool plain(std::uint8_t octet) {
  constexpr std::string_view kEscaped = ".\\\"();@$";
  return octet > ' ' && octet < 0x7f &&
         kEscaped.find(static_cast<char>(octet)) == std::string_view::npos;
}

}  // namespace

std::uint8_t lower(std::uint8_t octet) {
  return octet >= 'A' && octet <= 'Z' ? static_cast<std::uint8_t>(octet + ('a' - 'A')) : octet;
}

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return static_cast<char>(lower(static_cast<std::uint8_t>(c)));
  });
  return text;
}

std::optional<std::vector<std::uint8_t>> name_to_wire(std::string_view name) {
  if (name == kRootName) {
    return std::vector<std::uint8_t>{0};
  }
  if (name.empty() || name.size() > 253) {
    return std::nullopt;
  }
  std::vector<std::uint8_t> wire;
  wire.reserve(name.size() + 2);
  for (std::size_t start = 0; start <= name.size();) {
    const std::size_t end = std::min(name.find('.', start), name.size());
    const std::string_view label = name.substr(start, end - start);
    if (label.empty() || label.size() > 63 ||
        !std::ranges::all_of(label, [](char c) { return plain(static_cast<std::uint8_t>(c)); })) {
      return std::nullopt;
    }
    wire.push_back(static_cast<std::uint8_t>(label.size()));
    wire.insert(wire.end(), label.begin(), label.end());
    start = end + 1;
  }
  wire.push_back(0);
  return wire;
}

std::optional<std::string> name_to_text(ByteSpan wire) {
  std::string text;
  for (std::size_t at = 0; at < wire.size() && wire[at] != 0;) {
    const std::size_t length = wire[at];
    if (length > 63 || at + length >= wire.size()) {
      return std::nullopt;
    }
    if (!text.empty()) {
      text += '.';
    }
    for (const std::uint8_t octet : wire.subspan(at + 1, length)) {
      if (!plain(octet)) {
        return std::nullopt;
      }
      text += static_cast<char>(lower(octet));
    }
    at += length + 1;
  }
  return text;
}

std::uint16_t read16(ByteSpan bytes, std::size_t at) {
  return static_cast<std::uint16_t>((bytes[at] << 8U) | bytes[at + 1]);
}

std::uint32_t read32(ByteSpan bytes, std::size_t at) {
  return (std::uint32_t{read16(bytes, at)} << 16U) | read16(bytes, at + 2);
}

ByteSpan rdata_field(const ldns_rr& rr, std::size_t index) {
  const ldns_rdf* field = ldns_rr_rdf(&rr, index);
  return field == nullptr ? ByteSpan() : ByteSpan(ldns_rdf_data(field), ldns_rdf_size(field));
}

std::chrono::seconds ttl_of(const ldns_rr& rr) {
  const std::uint32_t ttl = ldns_rr_ttl(&rr);
  return std::chrono::seconds(ttl > 0x7fffffffU ? 0U : ttl);  // RFC 2181 §8
}

}  // namespace relay::net
