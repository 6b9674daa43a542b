// One structured line per event, logfmt or JSON, to standard error (the journal's place).
// Peer text is escaped and capped at 512 octets of it. Thread-safe: a line is one write.
#pragma once

#include <atomic>
#include <string>
#include <string_view>
#include <vector>

#include "conf/config.h"

namespace relay {

/// A key and its value; fields with empty values are left out of the line.
struct LogField {
  std::string_view key;
  std::string value;
};

/// Text that anyone may have sent, as it can be shown: control characters and octets that are no
/// UTF-8 as \xNN, a backslash before each of the ASCII characters in marked.
[[nodiscard]] std::string printable(std::string_view text, std::string_view marked = "");

class Log {
 public:
  explicit Log(const conf::Logging& settings, int fd = 2);

  [[nodiscard]] bool enabled(conf::LogLevel level) const;
  void write(conf::LogLevel level, std::string_view event, const std::vector<LogField>& fields);
  void error(std::string_view event, const std::vector<LogField>& fields) {
    write(conf::LogLevel::error, event, fields);
  }
  void warning(std::string_view event, const std::vector<LogField>& fields) {
    write(conf::LogLevel::warning, event, fields);
  }
  void info(std::string_view event, const std::vector<LogField>& fields) {
    write(conf::LogLevel::info, event, fields);
  }
  void debug(std::string_view event, const std::vector<LogField>& fields) {
    write(conf::LogLevel::debug, event, fields);
  }
  /// On reload.
  void configure(const conf::Logging& settings);

 private:
  std::atomic<conf::LogLevel> level_;
  std::atomic<conf::Logging::Format> format_;
  int fd_;
};

}  // namespace relay
