#include "relay/log.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <unistd.h>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "conf/utf8.h"
#include "relay/log_postfix.h"

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

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) {
    return "localhost";
  }
  const std::string whole = name.data();
  return whole.substr(0, whole.find('.'));
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

std::string logfmt_fields(const std::vector<LogField>& fields) {
  std::string text;
  for (const LogField& field : fields) {
    if (field.value.empty()) {
      continue;
    }
    text += ' ';
    text += field.key;
    text += '=';
    append_logfmt(text, capped(field.value));
  }
  return text;
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

/// No text in it passes for an address of Postfix's lines.
std::string without_addresses(std::string text) {
  for (std::size_t at = 0; (at = text.find('<', at)) != std::string::npos;) {
    text.replace(at, 1, "\\x3c");
  }
  return text;
}

std::string_view severity(conf::LogLevel level) {
  switch (level) {
    case conf::LogLevel::error:
      return "error: ";
    case conf::LogLevel::warning:
      return "warning: ";
    case conf::LogLevel::info:
    case conf::LogLevel::debug:
      break;
  }
  return "";
}

}  // namespace

std::string_view LogEntry::field(std::string_view key) const {
  const auto found = std::ranges::find(fields, key, &LogField::key);
  return found == fields.end() ? std::string_view{} : std::string_view(found->value);
}

std::string LogEntry::json() const {
  nlohmann::ordered_json object;
  object["time"] = time;
  object["level"] = name(level);
  object["event"] = event;
  for (const LogField& field : fields) {
    if (!field.value.empty()) {
      object[std::string(field.key)] = json_text(capped(field.value));
    }
  }
  return object.dump();
}

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
    : level_(settings.level),
      format_(settings.format),
      postfix_tls_(settings.postfix_tls),
      syslog_name_(settings.syslog_name),
      host_(host_name()),
      fd_(fd) {}

bool Log::enabled(conf::LogLevel level) const {
  return level <= level_.load() || (!watchers_.empty() && level <= conf::LogLevel::info);
}

void Log::write(conf::LogLevel level, std::string_view event, const std::vector<LogField>& fields) {
  if (!enabled(level)) {
    return;
  }
  const LogEntry entry{timestamp(), level, event, fields};
  if (level <= conf::LogLevel::info) {
    for (LogWatcher* const watcher : watchers_) {
      watcher->observe(entry);
    }
  }
  if (level > level_.load()) {
    return;
  }
  const std::string text = line(entry);
  // A log that cannot be written must not stop mail: the result is deliberately not acted on.
  [[maybe_unused]] const auto written = ::write(fd_, text.data(), text.size());
}

std::string Log::line(const LogEntry& entry) const {
  switch (format_.load()) {
    case conf::Logging::Format::json:
      return entry.json() + '\n';
    case conf::Logging::Format::postfix:
      return postfix_text(entry);
    case conf::Logging::Format::logfmt:
      break;
  }
  return fmt::format("time={} level={} event={}{}\n", entry.time, name(entry.level), entry.event,
                     logfmt_fields(entry.fields));
}

// Syslog's traditional form has local time and no year.
std::string Log::postfix_text(const LogEntry& entry) const {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  const std::string prefix =
      fmt::format("{:%b %e %H:%M:%S} {} {}", fmt::localtime(now), host_, syslog_name_);
  const auto tls =
      postfix_tls_.load() ? PostfixStyle::TlsField::present : PostfixStyle::TlsField::absent;
  std::string text;
  for (const PostfixLine& each : postfix_lines(entry.event, entry.fields, {tls})) {
    text += fmt::format("{}/{}[{}]: {}\n", prefix, each.program, ::getpid(), each.text);
  }
  if (text.empty()) {
    text = fmt::format("{}/stsrelay[{}]: {}event={}{}\n", prefix, ::getpid(), severity(entry.level),
                       entry.event, without_addresses(logfmt_fields(entry.fields)));
  }
  return text;
}

void Log::configure(const conf::Logging& settings) {
  level_.store(settings.level);
  format_.store(settings.format);
  postfix_tls_.store(settings.postfix_tls);
}

}  // namespace relay
