#include "sts/record.h"

#include <algorithm>
#include <cstddef>
#include <optional>

#include "sts/text.h"

namespace sts {
namespace {

constexpr std::string_view kVersion = "v=STSv1";
constexpr std::size_t kMaxId = 32;

bool is_name_char(char c) {
  return is_alnum(c) || c == '_' || c == '-' || c == '.';
}

// %x21-3A / %x3C / %x3E-7E: printable, neither ';' nor '='.
bool is_value_char(char c) {
  return c >= '!' && c <= '~' && c != ';' && c != '=';
}

std::string_view after_blanks(std::string_view text) {
  return text.substr(std::min(text.find_first_not_of(" \t"), text.size()));
}

// Consumes sts-field-delim: *WSP ";" *WSP; or nothing.
bool take_delimiter(std::string_view& text) {
  const std::string_view delimiter = after_blanks(text);
  if (!delimiter.starts_with(';')) {
    return false;
  }
  text = after_blanks(delimiter.substr(1));
  return true;
}

// The prose asks for the literal "v=STSv1;", the ABNF allows blanks before the semicolon. Both are
// taken: no other version can look like this.
bool announces_policy(std::string_view record) {
  if (!record.starts_with(kVersion)) {
    return false;
  }
  record.remove_prefix(kVersion.size());
  return take_delimiter(record);
}

struct Field {
  std::string_view name;
  std::string_view value;
};

// Consumes sts-id or sts-extension up to the delimiter.
std::optional<Field> take_field(std::string_view& text) {
  const auto* const name_end = std::find_if_not(text.begin(), text.end(), is_name_char);
  const Field field{text.substr(0, static_cast<std::size_t>(name_end - text.begin())), {}};
  if (field.name.empty() || field.name.size() > kMaxExtensionName ||
      !is_alnum(field.name.front())) {
    return std::nullopt;
  }
  text.remove_prefix(field.name.size());
  if (text.empty() || text.front() != '=') {
    return std::nullopt;
  }
  text.remove_prefix(1);
  const auto* const value_end = std::find_if_not(text.begin(), text.end(), is_value_char);
  const auto value = text.substr(0, static_cast<std::size_t>(value_end - text.begin()));
  if (value.empty()) {
    return std::nullopt;
  }
  text.remove_prefix(value.size());
  return Field{field.name, value};
}

bool is_id(std::string_view value) {
  return value.size() <= kMaxId && std::all_of(value.begin(), value.end(), is_alnum);
}

Expected<Record, RecordFault> parse_record(std::string_view text) {
  text.remove_prefix(kVersion.size());
  std::optional<std::string_view> id;
  while (take_delimiter(text)) {
    if (text.empty() && id) {  // one delimiter may end the record
      return Record{std::string{*id}};
    }
    const auto field = take_field(text);
    if (!field) {
      return Unexpected<RecordFault>{RecordFault::malformed};
    }
    // A second id is an extension by its grammar, and extensions are ignored: the first one wins.
    if (field->name == "id" && !id) {
      if (!is_id(field->value)) {
        return Unexpected<RecordFault>{RecordFault::malformed};
      }
      id = field->value;
    }
    if (text.empty()) {
      break;
    }
  }
  if (!id || !text.empty()) {
    return Unexpected<RecordFault>{RecordFault::malformed};
  }
  return Record{std::string{*id}};
}

}  // namespace

std::string_view name(RecordFault fault) {
  switch (fault) {
    case RecordFault::absent:
      return "absent";
    case RecordFault::several:
      return "several";
    case RecordFault::malformed:
      return "malformed";
  }
  return "";
}

Expected<Record, RecordFault> parse_records(std::span<const std::string> records) {
  // RFC 8461 §3.1: records of other kinds are discarded first; then exactly one must be left. They
  // are counted before they are judged, so a good one beside a bad one is no policy either.
  const std::string* only = nullptr;
  for (const std::string& record : records) {
    if (!announces_policy(record)) {
      continue;
    }
    if (only != nullptr) {
      return Unexpected<RecordFault>{RecordFault::several};
    }
    only = &record;
  }
  if (only == nullptr) {
    return Unexpected<RecordFault>{RecordFault::absent};
  }
  return parse_record(*only);
}

}  // namespace sts
