#include "relay/log.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <unistd.h>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "conf/utf8.h"

namespace relay {
namespace {

constexpr std::size_t kMaxValue = 512;

std::string_view name(conf::LogLevel level) {
  switch (level) {
    case conf::LogLevel::error:
      return "error";
    case conf::LogLevel::warning:
      return "warning";
    case conf::LogLevel::info:
      return "info";
    case conf::LogLevel::debug:
      return "debug";
  }
  return "error";
}

std::string timestamp() {
  const auto now = std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(now);
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)),
                     (now - seconds).count());
}

unsigned char octet(char c) {
  return static_cast<unsigned char>(c);
}

std::string_view capped(std::string_view value) {
  std::size_t end = std::min(value.size(), kMaxValue);
  while (end < value.size() && end > kMaxValue - 3 && (octet(value[end]) & 0xc0) == 0x80) {
    --end;
  }
  return value.substr(0, end);
}

/// Whether a character, in UTF-8, could drive a terminal; empty ones are octets that are none.
bool is_harmful(std::string_view character) {
  const bool c0 = character.size() == 1 && (octet(character[0]) < ' ' || character[0] == 0x7f);
  // The controls U+0080 to U+009F do what escape sequences do.
  const bool c1 =
      character.size() == 2 && octet(character[0]) == 0xc2 && octet(character[1]) < 0xa0;
  return character.empty() || c0 || c1;
}

void append_logfmt(std::string& line, std::string_view value) {
  const std::string shown = printable(value, "\"\\");
  if (shown == value && value.find_first_of(" =") == std::string_view::npos) {
    line += value;
  } else {
    line += '"' + shown + '"';
  }
}

std::string logfmt_line(conf::LogLevel level, std::string_view event,
                        const std::vector<LogField>& fields) {
  std::string line = fmt::format("time={} level={} event={}", timestamp(), name(level), event);
  for (const LogField& field : fields) {
    if (field.value.empty()) {
      continue;
    }
    line += ' ';
    line += field.key;
    line += '=';
    append_logfmt(line, capped(field.value));
  }
  return line;
}

/// What JSON has an escape of its own for stays; the rest must be UTF-8 and harmless.
std::string json_text(std::string_view value) {
  std::string text;
  while (!value.empty()) {
    const auto plain = static_cast<std::size_t>(
        std::find_if(value.begin(), value.end(), [](char c) { return octet(c) >= 0x7f; }) -
        value.begin());
    const std::size_t rest = std::max<std::size_t>(conf::utf8_length(value.substr(plain)), 1);
    text += value.substr(0, plain);
    text += printable(value.substr(plain, rest));
    value.remove_prefix(std::min(value.size(), plain + rest));
  }
  return text;
}

std::string json_line(conf::LogLevel level, std::string_view event,
                      const std::vector<LogField>& fields) {
  nlohmann::ordered_json object;
  object["time"] = timestamp();
  object["level"] = name(level);
  object["event"] = event;
  for (const LogField& field : fields) {
    if (!field.value.empty()) {
      object[std::string(field.key)] = json_text(capped(field.value));
    }
  }
  return object.dump();
}

}  // namespace

std::string printable(std::string_view text, std::string_view marked) {
  std::string safe;
  while (!text.empty()) {
    const std::string_view character = text.substr(0, conf::utf8_length(text));
    if (is_harmful(character)) {
      for (const char c : text.substr(0, std::max<std::size_t>(character.size(), 1))) {
        safe += fmt::format("\\x{:02x}", octet(c));
      }
    } else {
      safe += marked.find(character) == std::string_view::npos ? "" : "\\";
      safe += character;
    }
    text.remove_prefix(std::max<std::size_t>(character.size(), 1));
  }
  return safe;
}

Log::Log(const conf::Logging& settings, int fd)
    : level_(settings.level), format_(settings.format), fd_(fd) {}

bool Log::enabled(conf::LogLevel level) const {
  return level <= level_.load();
}

void Log::write(conf::LogLevel level, std::string_view event, const std::vector<LogField>& fields) {
  if (!enabled(level)) {
    return;
  }
  std::string line = format_.load() == conf::Logging::Format::json
                         ? json_line(level, event, fields)
                         : logfmt_line(level, event, fields);
  line += '\n';
  // A log that cannot be written must not stop mail: the result is deliberately not acted on.
  [[maybe_unused]] const auto written = ::write(fd_, line.data(), line.size());
}

void Log::configure(const conf::Logging& settings) {
  level_.store(settings.level);
  format_.store(settings.format);
}

}  // namespace relay
