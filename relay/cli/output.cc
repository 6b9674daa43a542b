#include "relay/cli/output.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include <fmt/format.h>

#include "relay/control/timestamp.h"

namespace relay::cli {
namespace {

/// Characters, not octets: continuation octets of UTF-8 take no place.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(
      text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

}  // namespace

void print(std::string_view text) {
  fmt::print("{}", text);
}

void complain(std::string_view text) {
  fmt::print(stderr, "stsrelay: {}\n", text);
}

void print_json(const Json& json) {
  print(json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

void Table::add(std::vector<std::string> cells) {
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<std::size_t> widths;
  for (const auto& row : rows_) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], width(row[i]));
    }
  }
  std::string text;
  for (const auto& row : rows_) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      line.append(widths[i] - width(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string moment(const Json& rfc3339, net::WallTime now) {
  const std::string distance = short_moment(rfc3339, now);
  return distance == "-" ? distance : fmt::format("{} ({})", rfc3339.get<std::string>(), distance);
}

std::string short_moment(const Json& rfc3339, net::WallTime now) {
  const auto time =
      rfc3339.is_string() ? control::parse_rfc3339(rfc3339.get<std::string>()) : std::nullopt;
  return time ? relative(*time, now) : "-";
}

std::string octets(const Json& count) {
  if (!count.is_number()) {
    return "-";
  }
  constexpr std::array kUnits{"KiB", "MiB", "GiB", "TiB"};
  auto value = count.get<double>();
  if (value < 1024) {
    return fmt::format("{:.0f} octets", value);
  }
  std::size_t unit = 0;
  for (value /= 1024; value >= 1024 && unit + 1 < kUnits.size(); ++unit) {
    value /= 1024;
  }
  return fmt::format("{:.1f} {}", value, kUnits.at(unit));
}

std::string counted(const Json& count, std::string_view noun) {
  return count == 1 ? fmt::format("1 {}", noun) : fmt::format("{} {}s", count.dump(), noun);
}

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? printable(found->get<std::string>()) : "";
}

std::string number_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->dump() : "-";
}

net::WallTime now() {
  return net::SystemClock().wall();
}

}  // namespace relay::cli
