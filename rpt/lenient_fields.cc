#include "rpt/lenient_fields.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstddef>

namespace rpt {
namespace {

constexpr std::uint64_t kMaxCount = std::uint64_t{1} << 53U;  // RFC 7493 §2.2
constexpr std::size_t kMaxNote = 200;
constexpr std::size_t kDateLength = 10;
constexpr std::size_t kTimeLength = 19;

const nlohmann::json& nothing() {
  static const nlohmann::json value = nlohmann::json::object();
  return value;
}

std::string dumped(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// The decimal number that is all of text.
std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  return error == std::errc{} && rest == end && !text.empty() ? std::optional(value) : std::nullopt;
}

/// The number in text[at, at + length), none of it a sign.
std::optional<int> digits(std::string_view text, std::size_t at, std::size_t length) {
  if (text.size() < at + length) {
    return std::nullopt;
  }
  const auto value = number(text.substr(at, length));
  return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
}

std::optional<std::chrono::sys_days> parse_date(std::string_view text) {
  const auto year = digits(text, 0, 4);
  const auto month = digits(text, 5, 2);
  const auto day = digits(text, 8, 2);
  if (!year || !month || !day || text[4] != '-' || text[7] != '-') {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year{*year},
                                         std::chrono::month{static_cast<unsigned>(*month)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  return date.ok() ? std::optional(std::chrono::sys_days(date)) : std::nullopt;
}

/// "+01:30" or "Z" to what is ahead of UTC; none is UTC.
std::optional<std::chrono::minutes> parse_zone(std::string_view text) {
  if (text.empty() || text == "Z" || text == "z") {
    return std::chrono::minutes{0};
  }
  const auto hours = digits(text, 1, 2);
  const auto minutes = digits(text, text.size() == 5 ? 3 : 4, 2);
  if ((text[0] != '+' && text[0] != '-') || text.size() > 6 || !hours || !minutes || *hours > 23 ||
      *minutes > 59 || (text.size() == 6 && text[3] != ':')) {
    return std::nullopt;
  }
  const std::chrono::minutes ahead{*hours * 60 + *minutes};
  return text[0] == '-' ? -ahead : ahead;
}

/// What follows the seconds and their fraction.
std::string_view zone_of(std::string_view text) {
  if (text.size() <= kTimeLength) {
    return {};
  }
  text.remove_prefix(kTimeLength);
  if (text.starts_with('.')) {
    text.remove_prefix(std::min(text.find_first_not_of("0123456789", 1), text.size()));
  }
  return text;
}

}  // namespace

bool has_zone(std::string_view text) {
  return !zone_of(text).empty();
}

std::optional<std::chrono::sys_seconds> parse_time(std::string_view text) {
  const auto date = parse_date(text);
  if (!date || text.size() == kDateLength) {
    return date;
  }
  const auto hour = digits(text, 11, 2);
  const auto minute = digits(text, 14, 2);
  const auto second = digits(text, 17, 2);
  const auto zone = parse_zone(zone_of(text));
  if (!hour || !minute || !second || !zone || *hour > 24 || *minute > 59 || *second > 60 ||
      text[13] != ':' || text[16] != ':') {
    return std::nullopt;
  }
  return *date + std::chrono::hours{*hour} + std::chrono::minutes{*minute} +
         std::chrono::seconds{*second} - *zone;
}

const nlohmann::json* LenientFields::find(const char* key) const {
  const auto found = json_.is_object() ? json_.find(key) : json_.end();
  return json_.is_object() && found != json_.end() ? &*found : nullptr;
}

std::string LenientFields::place(std::string_view key) const {
  if (where_.empty() || key.empty()) {
    return where_ + std::string(key);
  }
  return where_ + "." + std::string(key);
}

void LenientFields::warn(WarningCode code, std::string_view key, std::string note) const {
  if (note.size() > kMaxNote) {
    note.resize(kMaxNote);
  }
  warnings_.push_back({code, place(key), std::move(note)});
}

std::string LenientFields::text_of(const nlohmann::json& value, std::string_view key) const {
  if (value.is_string()) {
    if (value.get_ref<const std::string&>().empty()) {
      warn(WarningCode::empty_field, key);
    }
    return value.get<std::string>();
  }
  if (value.is_null()) {
    warn(WarningCode::null_field, key);
    return {};
  }
  warn(WarningCode::wrong_type, key, value.type_name());
  return dumped(value);
}

std::string LenientFields::text(const char* key, Presence presence) const {
  if (const nlohmann::json* const value = find(key)) {
    return text_of(*value, key);
  }
  if (presence == Presence::required) {
    warn(WarningCode::missing_field, key);
  }
  return {};
}

std::uint64_t LenientFields::count(const char* key) const {
  const nlohmann::json* const value = find(key);
  if (value == nullptr) {
    warn(WarningCode::missing_field, key);
    return 0;
  }
  if (value->is_number_unsigned() && value->get<std::uint64_t>() <= kMaxCount) {
    return value->get<std::uint64_t>();
  }
  if (value->is_null()) {
    warn(WarningCode::null_field, key);
    return 0;
  }
  warn(WarningCode::count_not_number, key, dumped(*value));
  if (value->is_string()) {
    return std::min(number(value->get_ref<const std::string&>()).value_or(0), kMaxCount);
  }
  const double real = value->is_number() ? value->get<double>() : 0;
  return std::isfinite(real) && real > 0
             ? static_cast<std::uint64_t>(std::min(real, static_cast<double>(kMaxCount)))
             : 0;
}

ReportTime LenientFields::time(const char* key) const {
  ReportTime read;
  read.text = text(key, Presence::required);
  read.at = parse_time(read.text);
  if (!read.at && !read.text.empty()) {
    warn(WarningCode::bad_date, key, read.text);
  } else if (read.at && !has_zone(read.text)) {
    warn(WarningCode::date_no_zone, key, read.text);
  }
  return read;
}

std::vector<std::string> LenientFields::texts(const char* key, WarningCode not_array) const {
  const nlohmann::json* const value = find(key);
  if (value == nullptr) {
    return {};
  }
  if (value->is_null()) {
    warn(WarningCode::null_field, key);
    return {};
  }
  if (!value->is_array()) {
    warn(not_array, key);
    std::string only = value->is_string() ? value->get<std::string>() : dumped(*value);
    return only.empty() ? std::vector<std::string>{} : std::vector{std::move(only)};
  }
  std::vector<std::string> all;
  for (const nlohmann::json& element : *value) {
    all.push_back(text_of(element, key));
  }
  return all;
}

std::vector<LenientFields> LenientFields::elements(const char* key) const {
  std::vector<LenientFields> all;
  const nlohmann::json* const value = find(key);
  if (value == nullptr) {
    return all;
  }
  if (value->is_null()) {
    warn(WarningCode::null_field, key);
    return all;
  }
  if (!value->is_array()) {
    warn(WarningCode::not_an_array, key);
    all.emplace_back(*value, place(key), warnings_);
    return all;
  }
  for (std::size_t i = 0; i < value->size(); ++i) {
    all.emplace_back((*value)[i], place(key) + "[" + std::to_string(i) + "]", warnings_);
    if (!(*value)[i].is_object()) {
      all.back().warn(WarningCode::wrong_type, "", (*value)[i].type_name());
    }
  }
  return all;
}

LenientFields LenientFields::object(const char* key) const {
  const nlohmann::json* const value = find(key);
  if (value == nullptr) {
    warn(WarningCode::missing_field, key);
    return {nothing(), place(key), warnings_};
  }
  if (!value->is_object()) {
    warn(value->is_null() ? WarningCode::null_field : WarningCode::wrong_type, key,
         value->is_null() ? "" : value->type_name());
  }
  return {*value, place(key), warnings_};
}

}  // namespace rpt
