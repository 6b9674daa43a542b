#include "conf/units.h"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <limits>
#include <span>

#include <fmt/format.h>

namespace conf {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};
// From large to small: to_text() takes the first one that divides exactly.
constexpr std::array<Unit, 5> kDurationUnits{
    {{"d", 86'400'000}, {"h", 3'600'000}, {"m", 60'000}, {"s", 1'000}, {"ms", 1}}};
constexpr std::array<Unit, 4> kSizeUnits{
    {{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"", 1}}};

template <class T>
std::optional<T> parse_whole_number(std::string_view text) {
  T value{};
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (fault != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::uint64_t> parse_with_unit(std::string_view text, std::span<const Unit> units) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto number = parse_whole_number<std::uint64_t>(text.substr(0, digits));
  if (!number) {
    return std::nullopt;
  }
  const auto unit = std::ranges::find(units, text.substr(digits), &Unit::name);
  constexpr std::uint64_t kMax = std::numeric_limits<std::int64_t>::max();
  if (unit == units.end() || *number > kMax / unit->factor) {
    return std::nullopt;
  }
  return *number * unit->factor;
}

std::string text_with_unit(std::uint64_t value, std::span<const Unit> units) {
  const auto unit = std::ranges::find_if(
      units, [value](const Unit& candidate) { return value % candidate.factor == 0; });
  return fmt::format("{}{}", value / unit->factor, unit->name);
}

struct Ip {
  bool v6 = false;
  std::array<std::uint8_t, 16> bits{};
};

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/// v6 stays v6 here, also where it embeds an IPv4 address.
std::optional<Ip> parse_ip(std::string_view text) {
  Ip ip;
  const std::string terminated(text);
  if (terminated.find('\0') != std::string::npos) {
    return std::nullopt;
  }
  ip.v6 = text.find(':') != std::string_view::npos;
  if (inet_pton(ip.v6 ? AF_INET6 : AF_INET, terminated.c_str(), ip.bits.data()) != 1) {
    return std::nullopt;
  }
  return ip;
}

bool is_mapped(const Ip& ip) {
  return ip.v6 && std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), ip.bits.begin());
}

Ip unmapped(const Ip& ip) {
  if (!is_mapped(ip)) {
    return ip;
  }
  Ip v4;
  std::copy(ip.bits.begin() + 12, ip.bits.end(), v4.bits.begin());
  return v4;
}

std::string ip_text(const Ip& ip) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  inet_ntop(ip.v6 ? AF_INET6 : AF_INET, ip.bits.data(), buffer.data(), buffer.size());
  return buffer.data();
}

bool equal_prefix(const std::array<std::uint8_t, 16>& a, const std::array<std::uint8_t, 16>& b,
                  int prefix) {
  const auto whole = static_cast<std::size_t>(prefix / 8);
  if (!std::equal(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(whole), b.begin())) {
    return false;
  }
  const int rest = prefix % 8;
  return rest == 0 || ((a.at(whole) ^ b.at(whole)) >> (8 - rest)) == 0;
}

}  // namespace

std::optional<std::chrono::milliseconds> parse_duration(std::string_view text) {
  if (text == "0") {
    return std::chrono::milliseconds(0);
  }
  const auto value = parse_with_unit(text, kDurationUnits);
  if (!value) {
    return std::nullopt;
  }
  return std::chrono::milliseconds(static_cast<std::int64_t>(*value));
}

std::string to_text(std::chrono::milliseconds duration) {
  const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(duration.count(), 0));
  return value == 0 ? "0" : text_with_unit(value, kDurationUnits);
}

std::optional<Rate> parse_rate(std::string_view text) {
  const std::size_t slash = text.find('/');
  // One unit, so that "100/30m" is not taken for 130 minutes.
  if (slash == std::string_view::npos || slash == 0 || text.size() != slash + 2) {
    return std::nullopt;
  }
  const auto span = parse_duration("1" + std::string(text.substr(slash + 1)));
  std::uint32_t count = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + slash, count);
  if (!span || *span < std::chrono::seconds(1) || fault != std::errc() ||
      end != text.data() + slash || count == 0) {
    return std::nullopt;
  }
  return Rate{count, *span};
}

std::string to_text(const Rate& rate) {
  return fmt::format("{}/{}", rate.count, to_text(rate.per).substr(1));
}

std::string in_words(const Rate& rate, std::string_view noun) {
  const char* const span = rate.per == std::chrono::seconds(1)   ? "second"
                           : rate.per == std::chrono::minutes(1) ? "minute"
                           : rate.per == std::chrono::hours(1)   ? "hour"
                                                                 : "day";
  return fmt::format("{} {}{} per {}", rate.count, noun, rate.count == 1 ? "" : "s", span);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  return parse_with_unit(text, kSizeUnits);
}

std::string size_to_text(std::uint64_t octets) {
  return octets == 0 ? "0" : text_with_unit(octets, kSizeUnits);
}

std::string AddressLiteral::text() const {
  return ip.find(':') == std::string::npos ? fmt::format("{}:{}", ip, port)
                                           : fmt::format("[{}]:{}", ip, port);
}

std::optional<AddressLiteral> parse_address(std::string_view text, std::uint16_t default_port) {
  const bool bracketed = text.starts_with('[');
  const std::size_t ip_end = bracketed ? text.find(']') : text.find(':');
  if (bracketed && ip_end == std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view host =
      bracketed ? text.substr(1, ip_end - 1) : text.substr(0, std::min(ip_end, text.size()));
  std::string_view rest =
      ip_end == std::string_view::npos ? std::string_view() : text.substr(ip_end);
  if (bracketed) {
    rest.remove_prefix(1);
  }
  const auto ip = parse_ip(host);
  if (!ip || ip->v6 != bracketed) {
    return std::nullopt;
  }
  AddressLiteral address{ip_text(unmapped(*ip)), default_port};
  if (rest.starts_with(':')) {
    address.port = parse_whole_number<std::uint16_t>(rest.substr(1)).value_or(0);
  } else if (!rest.empty()) {
    return std::nullopt;
  }
  return address.port == 0 ? std::nullopt : std::optional(address);
}

std::optional<Network> Network::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  const auto ip = parse_ip(text.substr(0, slash));
  if (!ip) {
    return std::nullopt;
  }
  const int width = ip->v6 ? 128 : 32;
  int prefix = width;
  if (slash != std::string_view::npos) {
    prefix = parse_whole_number<int>(text.substr(slash + 1)).value_or(-1);
  }
  if (prefix < 0 || prefix > width) {
    return std::nullopt;
  }
  Network network;
  // An IPv4-mapped network is the IPv4 network: that is how clients' addresses are compared.
  const bool mapped = is_mapped(*ip) && prefix >= 96;
  const Ip held = mapped ? unmapped(*ip) : *ip;
  network.v6_ = held.v6;
  network.prefix_ = mapped ? prefix - 96 : prefix;
  network.bits_ = held.bits;
  for (int bit = network.prefix_; bit < (held.v6 ? 128 : 32); ++bit) {
    if ((held.bits.at(static_cast<std::size_t>(bit / 8)) & (0x80 >> (bit % 8))) != 0) {
      return std::nullopt;
    }
  }
  return network;
}

bool Network::contains(std::string_view ip) const {
  const auto parsed = parse_ip(ip);
  if (!parsed) {
    return false;
  }
  const Ip held = unmapped(*parsed);
  return held.v6 == v6_ && equal_prefix(held.bits, bits_, prefix_);
}

std::string Network::text() const {
  return fmt::format("{}/{}", ip_text(Ip{v6_, bits_}), prefix_);
}

std::vector<Network> loopback_networks() {
  return {*Network::parse("127.0.0.0/8"), *Network::parse("::1/128")};
}

}  // namespace conf
