#include "relay/log.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <unistd.h>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

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

std::string_view capped(std::string_view value) {
  return value.substr(0, kMaxValue);
}

bool needs_quotes(std::string_view value) {
  return std::any_of(value.begin(), value.end(), [](char c) {
    const auto u = static_cast<unsigned char>(c);
    return u <= ' ' || u == '"' || u == '=' || u == '\\' || u == 0x7f;
  });
}

void append_logfmt(std::string& line, std::string_view value) {
  if (!needs_quotes(value)) {
    line += value;
    return;
  }
  line += '"';
  for (const char c : value) {
    const auto u = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (u < ' ' || u == 0x7f) {
      line += fmt::format("\\x{:02x}", u);
    } else {
      line += c;
    }
  }
  line += '"';
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

std::string json_line(conf::LogLevel level, std::string_view event,
                      const std::vector<LogField>& fields) {
  nlohmann::ordered_json object;
  object["time"] = timestamp();
  object["level"] = name(level);
  object["event"] = event;
  for (const LogField& field : fields) {
    if (!field.value.empty()) {
      object[std::string(field.key)] = capped(field.value);
    }
  }
  // Peer text may hold bytes that are not UTF-8; a log line must still be valid JSON.
  return object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

}  // namespace

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
