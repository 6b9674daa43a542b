// One structured line per event, logfmt or JSON, or as Postfix would say it, to standard error (the
// journal's place); and whoever else wants to see events gets them. Peer text is escaped and capped
// at 512 octets of it. Thread-safe: a line is one write.
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

/// An event as a watcher sees it.
struct LogEntry {
  std::string time;  ///< UTC, RFC 3339 with milliseconds
  conf::LogLevel level;
  std::string_view event;
  const std::vector<LogField>& fields;

  /// The value of a field; empty: there is none.
  [[nodiscard]] std::string_view field(std::string_view key) const;
  /// As the line of format json.
  [[nodiscard]] std::string json() const;
};

/// Sees every event but those of level debug, whatever is written. Called by any thread; outlives
/// the log's use.
class LogWatcher {
 public:
  LogWatcher() = default;
  LogWatcher(const LogWatcher&) = delete;
  LogWatcher& operator=(const LogWatcher&) = delete;
  virtual ~LogWatcher() = default;
  virtual void observe(const LogEntry& entry) = 0;
};

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
  [[nodiscard]] bool is_postfix() const { return format_.load() == conf::Logging::Format::postfix; }
  /// On reload.
  void configure(const conf::Logging& settings);
  /// Before other threads write.
  void watch(LogWatcher& watcher) { watchers_.push_back(&watcher); }

 private:
  [[nodiscard]] std::string line(const LogEntry& entry) const;
  [[nodiscard]] std::string postfix_text(const LogEntry& entry) const;

  std::atomic<conf::LogLevel> level_;
  std::atomic<conf::Logging::Format> format_;
  std::atomic<bool> postfix_tls_;
  const std::string syslog_name_;
  const std::string host_;  ///< for lines of format postfix
  std::vector<LogWatcher*> watchers_;
  int fd_;
};

}  // namespace relay
