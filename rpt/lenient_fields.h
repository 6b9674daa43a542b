// Fields of a received report's JSON, whatever form they have, with a warning for each odd one.
// Private to rpt; pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "rpt/received_report.h"

namespace rpt {

enum class Presence { required, optional };

/// One object of the report and where it stands in it. What is no object has no fields.
class LenientFields {
 public:
  LenientFields(const nlohmann::json& json, std::string where, std::vector<ReportWarning>& warnings)
      : json_(json), where_(std::move(where)), warnings_(warnings) {}

  [[nodiscard]] bool has(const char* key) const { return find(key) != nullptr; }
  /// A string; of anything else its JSON text.
  [[nodiscard]] std::string text(const char* key, Presence presence) const;
  /// A number of sessions; digits in a string are one too. 0 if it cannot be understood.
  [[nodiscard]] std::uint64_t count(const char* key) const;
  [[nodiscard]] ReportTime time(const char* key) const;
  /// Strings; one string alone with the warning not_array.
  [[nodiscard]] std::vector<std::string> texts(const char* key, WarningCode not_array) const;
  /// Elements of an array; what is no array is taken for its only element, null for none.
  [[nodiscard]] std::vector<LenientFields> elements(const char* key) const;
  /// The object under key; without fields, and with a warning, if there is none.
  [[nodiscard]] LenientFields object(const char* key) const;
  void warn(WarningCode code, std::string_view key, std::string note = {}) const;

 private:
  [[nodiscard]] const nlohmann::json* find(const char* key) const;
  [[nodiscard]] std::string place(std::string_view key) const;
  [[nodiscard]] std::string text_of(const nlohmann::json& value, std::string_view key) const;

  const nlohmann::json& json_;
  std::string where_;
  std::vector<ReportWarning>& warnings_;
};

/// RFC 3339; without zone, or with a blank for the T, as well. nullopt: no such moment.
[[nodiscard]] std::optional<std::chrono::sys_seconds> parse_time(std::string_view text);
/// Does a time of day name its zone?
[[nodiscard]] bool has_zone(std::string_view text);

}  // namespace rpt
