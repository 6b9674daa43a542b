#include "rpt/json_guard.h"

#include <cstddef>
#include <cstdint>
#include <set>

namespace rpt {
namespace {

constexpr std::size_t kMaxKeyWarnings = 20;

unsigned octet(char c) {
  return static_cast<unsigned char>(c);
}

/// Length of the UTF-8 sequence that text begins with; 0: none (RFC 3629 §4).
std::size_t utf8_length(std::string_view text) {
  const unsigned lead = octet(text[0]);
  if (lead < 0x80) {
    return 1;
  }
  std::size_t length = 0;
  unsigned low = 0x80;
  unsigned high = 0xbf;
  if (lead >= 0xc2 && lead <= 0xdf) {
    length = 2;
  } else if (lead >= 0xe0 && lead <= 0xef) {
    length = 3;
    low = lead == 0xe0 ? 0xa0 : low;
    high = lead == 0xed ? 0x9f : high;
  } else if (lead >= 0xf0 && lead <= 0xf4) {
    length = 4;
    low = lead == 0xf0 ? 0x90 : low;
    high = lead == 0xf4 ? 0x8f : high;
  }
  if (length == 0 || text.size() < length || octet(text[1]) < low || octet(text[1]) > high) {
    return 0;
  }
  for (std::size_t i = 2; i < length; ++i) {
    if ((octet(text[i]) & 0xc0U) != 0x80) {
      return 0;
    }
  }
  return length;
}

/// Walks over a text's brackets and strings: where its first value ends and how large it is.
class Outline {
 public:
  explicit Outline(std::string_view text) {
    for (std::size_t i = 0; i < text.size() && end_ == std::string_view::npos; ++i) {
      if (in_string_) {
        step_in_string(text[i]);
      } else {
        step(text[i], i);
      }
    }
  }
  [[nodiscard]] std::size_t depth() const { return deepest_; }
  [[nodiscard]] std::size_t values() const { return values_; }
  /// One past the closing bracket of the first object or array; npos: there is none.
  [[nodiscard]] std::size_t end() const { return end_; }

 private:
  void step_in_string(char c) {
    if (escaped_) {
      escaped_ = false;
    } else if (c == '\\') {
      escaped_ = true;
    } else if (c == '"') {
      in_string_ = false;
    }
  }
  void step(char c, std::size_t at) {
    if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++values_;
      deepest_ = std::max(deepest_, ++depth_);
    } else if (c == ',') {
      ++values_;
    } else if ((c == '}' || c == ']') && depth_ > 0 && --depth_ == 0) {
      end_ = at + 1;
    }
  }

  std::size_t depth_ = 0;
  std::size_t deepest_ = 0;
  std::size_t values_ = 0;
  std::size_t end_ = std::string_view::npos;
  bool in_string_ = false;
  bool escaped_ = false;
};

/// Notes the keys that come twice in one object.
class KeyWatch {
 public:
  explicit KeyWatch(std::vector<ReportWarning>& warnings) : warnings_(warnings) {}

  bool operator()(nlohmann::json::parse_event_t event, const nlohmann::json& parsed) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) {
      keys_.emplace_back();
    } else if (event == Event::object_end && !keys_.empty()) {
      keys_.pop_back();
    } else if (event == Event::key && !keys_.empty()) {
      auto key = parsed.get<std::string>();
      if (!keys_.back().insert(key).second && noted_ < kMaxKeyWarnings) {
        ++noted_;
        warnings_.push_back({WarningCode::duplicate_key, "", std::move(key)});
      }
    }
    return true;
  }

 private:
  std::vector<ReportWarning>& warnings_;
  std::vector<std::set<std::string>> keys_;
  std::size_t noted_ = 0;
};

}  // namespace

std::optional<std::string> repair_utf8(std::string_view text) {
  std::string repaired;
  bool changed = false;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0) {
      repaired += "\xef\xbf\xbd";
      changed = true;
    } else {
      repaired += text.substr(0, length);
    }
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return changed ? std::optional(std::move(repaired)) : std::nullopt;
}

Expected<nlohmann::json, ReadError> parse_json(std::string_view text, const ReaderLimits& limits,
                                               std::vector<ReportWarning>& warnings) {
  const Outline outline(text);
  if (outline.depth() > limits.depth) {
    return read_error(ReadFault::too_deep, "the JSON is nested deeper than any report");
  }
  if (outline.values() > limits.values) {
    return read_error(ReadFault::too_large, "the JSON has more values than a report may have");
  }
  if (outline.end() != std::string_view::npos &&
      text.find_first_not_of(" \t\r\n", outline.end()) != std::string_view::npos) {
    warnings.push_back({WarningCode::trailing_data, "", "after the end of the JSON"});
  }
  KeyWatch watch(warnings);
  auto parsed = nlohmann::json::parse(
      text.substr(0, outline.end()),
      [&watch](int /*depth*/, nlohmann::json::parse_event_t event, const nlohmann::json& value) {
        return watch(event, value);
      },
      false);
  if (parsed.is_discarded()) {
    const bool cut = outline.end() == std::string_view::npos && outline.depth() > 0;
    return read_error(cut ? ReadFault::truncated : ReadFault::not_json,
                      cut ? "the JSON ends too early" : "this is no JSON");
  }
  return parsed;
}

}  // namespace rpt
