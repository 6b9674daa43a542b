// How answers are printed: aligned tables, times that a person can place, text that cannot hurt a
// terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "relay/control/timestamp.h"
#include "relay/log.h"
#include "relay/net/clock.h"

namespace relay::cli {

using Json = nlohmann::ordered_json;
using relay::printable;  // for text from peers and mail
using relay::control::relative;

void print(std::string_view text);  ///< to standard output
/// To standard error, after the program's name.
void complain(std::string_view text);
void print_json(const Json& json);

/// Columns as wide as their widest cell.
class Table {
 public:
  explicit Table(std::vector<std::string> header) { add(std::move(header)); }
  void add(std::vector<std::string> cells);
  [[nodiscard]] std::string text() const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// An RFC 3339 text as itself and relative: "2026-03-01T09:30:00Z (3h ago)".
[[nodiscard]] std::string moment(const Json& rfc3339, net::WallTime now);
/// Only relative.
[[nodiscard]] std::string short_moment(const Json& rfc3339, net::WallTime now);
[[nodiscard]] std::string octets(const Json& count);  ///< "482 octets", "1.5 KiB", "20.0 MiB"
/// "1 message", "2 messages".
[[nodiscard]] std::string counted(const Json& count, std::string_view noun);
/// A member's text, shown as printable(); "" if it is absent.
[[nodiscard]] std::string text_of(const Json& object, const char* key);
[[nodiscard]] std::string number_of(const Json& object, const char* key);
[[nodiscard]] net::WallTime now();

}  // namespace relay::cli
