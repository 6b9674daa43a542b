#include "relay/log.h"

#include <array>
#include <fcntl.h>
#include <regex>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

namespace {

using conf::LogLevel;
using Format = conf::Logging::Format;

/// A log and what it wrote.
class Subject {
 public:
  explicit Subject(const conf::Logging& settings) : log(settings, open_pipe()) {}
  ~Subject() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  /// All that was written since the last call; less than the pipe holds.
  std::string written() {
    std::string text;
    std::array<char, 4096> buffer{};
    while (true) {
      const auto count = ::read(ends_[0], buffer.data(), buffer.size());
      if (count <= 0) {
        return text;
      }
      text.append(buffer.data(), static_cast<std::size_t>(count));
    }
  }

 private:
  int open_pipe() {
    REQUIRE(::pipe2(ends_.data(), O_NONBLOCK | O_CLOEXEC) == 0);
    return ends_[1];
  }
  std::array<int, 2> ends_{-1, -1};

 public:
  relay::Log log;
};

conf::Logging settings(LogLevel level, Format format) {
  return {level, format};
}

TEST_CASE("a logfmt line has the time, the level, the event, and then the fields in order") {
  Subject subject(settings(LogLevel::info, Format::logfmt));
  subject.log.info("delivery", {{"id", "3KX0"}, {"to", "a@b.example"}, {"empty", ""}, {"n", "1"}});
  const std::regex line(
      "time=\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z level=info event=delivery "
      "id=3KX0 to=a@b\\.example n=1\n");
  CHECK(std::regex_match(subject.written(), line));
}

TEST_CASE("values that could be taken for something else are quoted and escaped") {
  struct Row {
    std::string value, written;
  };
  const std::vector<Row> rows{
      {"plain", "plain"},
      {"two words", "\"two words\""},
      {"a=b", "\"a=b\""},
      {"say \"hi\"", "\"say \\\"hi\\\"\""},
      {"back\\slash", "\"back\\\\slash\""},
      {"line\r\nlevel=error event=forged", "\"line\\x0d\\x0alevel=error event=forged\""},
      {std::string("nul\0", 4), "\"nul\\x00\""},
      {"\x1b[31m", "\"\\x1b[31m\""},
      {"\x7f", "\"\\x7f\""},
      {"bücher.example", "bücher.example"},
      {"\xf0\x9f\x93\xac", "\xf0\x9f\x93\xac"},
      {"\xff", "\"\\xff\""},
      {"b\xfc"
       "cher",
       "\"b\\xfccher\""},
      {"\xc2\x9b"
       "31m",
       "\"\\xc2\\x9b31m\""},
      {"\x9b"
       "31m",
       "\"\\x9b31m\""},
      {"\xc2\xa0", "\xc2\xa0"},
      {"cut \xe2\x82", "\"cut \\xe2\\x82\""},
      {"\xed\xa0\x80", "\"\\xed\\xa0\\x80\""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.written);
    Subject subject(settings(LogLevel::info, Format::logfmt));
    subject.log.info("e", {{"v", row.value}});
    const std::string line = subject.written();
    const std::string expected = " v=" + row.written + "\n";
    CHECK(line.ends_with(expected));
    CHECK(line.find('\n') == line.size() - 1);
  }
}

TEST_CASE("what a peer sends takes at most 512 octets of a line") {
  for (const Format format : {Format::logfmt, Format::json}) {
    Subject subject(settings(LogLevel::info, format));
    subject.log.info("e", {{"v", std::string(10'000, 'x')}});
    const std::string line = subject.written();
    CHECK(line.find(std::string(512, 'x')) != std::string::npos);
    CHECK(line.find(std::string(513, 'x')) == std::string::npos);
  }
}

TEST_CASE("a value that is cut is cut between two characters") {
  struct Row {
    std::string value;
    std::size_t kept;
  };
  for (const Row& row : std::vector<Row>{{std::string(511, 'x') + "ü", 511},
                                         {std::string(510, 'x') + "ü", 512},
                                         {std::string(510, 'x') + "€", 510},
                                         {std::string(509, 'x') + "\xf0\x9f\x93\xac", 509}}) {
    const std::string expected = row.value.substr(0, row.kept);
    Subject logfmt(settings(LogLevel::info, Format::logfmt));
    logfmt.log.info("e", {{"v", row.value}});
    CHECK(logfmt.written().ends_with(" v=" + expected + "\n"));
    Subject json(settings(LogLevel::info, Format::json));
    json.log.info("e", {{"v", row.value}});
    CHECK(nlohmann::json::parse(json.written())["v"] == expected);
  }
}

TEST_CASE("a JSON line shows what is no text or drives a terminal") {
  struct Row {
    std::string value, shown;
  };
  for (const Row& row : std::vector<Row>{{"\xff\xfe broken \xc3", "\\xff\\xfe broken \\xc3"},
                                         {"\xc2\x9b"
                                          "31m\x7f",
                                          "\\xc2\\x9b31m\\x7f"},
                                         {"ü\x1b\n", "ü\x1b\n"}}) {
    Subject subject(settings(LogLevel::info, Format::json));
    subject.log.info("e", {{"v", row.value}});
    const std::string line = subject.written();
    CHECK(nlohmann::json::parse(line)["v"] == row.shown);
    CHECK(line.find('\x1b') == std::string::npos);
  }
}

TEST_CASE("a JSON line is valid JSON whatever its values hold") {
  for (const std::string& value :
       std::vector<std::string>{"plain", "a\"b\\c\r\n\t", std::string("\0\x01\x1f", 3),
                                "\xff\xfe broken \xc3", "bücher", std::string(511, 'x') + "ü"}) {
    CAPTURE(value);
    Subject subject(settings(LogLevel::info, Format::json));
    subject.log.warning("event", {{"v", value}, {"empty", ""}});
    const std::string line = subject.written();
    CHECK(line.find('\n') == line.size() - 1);
    const auto object = nlohmann::json::parse(line, nullptr, false);
    REQUIRE(object.is_object());
    CHECK(object["level"] == "warning");
    CHECK(object["event"] == "event");
    CHECK_FALSE(object["v"].get<std::string>().empty());
    CHECK_FALSE(object.contains("empty"));
  }
}

TEST_CASE("a JSON line gives back values that are text as they were") {
  for (const std::string& value : std::vector<std::string>{"a\"b\\c\r\n\t", "bücher"}) {
    Subject subject(settings(LogLevel::info, Format::json));
    subject.log.info("event", {{"v", value}});
    CHECK(nlohmann::json::parse(subject.written())["v"] == value);
  }
}

TEST_CASE("lines below the level are not written, and a reload changes the level and the format") {
  const std::vector<LogLevel> levels{LogLevel::error, LogLevel::warning, LogLevel::info,
                                     LogLevel::debug};
  for (std::size_t chosen = 0; chosen < levels.size(); ++chosen) {
    Subject subject(settings(LogLevel::error, Format::logfmt));
    subject.log.configure(settings(levels[chosen], Format::json));
    for (std::size_t level = 0; level < levels.size(); ++level) {
      CHECK(subject.log.enabled(levels[level]) == (level <= chosen));
      subject.log.write(levels[level], "e", {});
      CHECK(subject.written().starts_with("{\"time\":") == (level <= chosen));
    }
  }
}

TEST_CASE("lines of several threads do not mix") {
  Subject subject(settings(LogLevel::info, Format::logfmt));
  std::vector<std::thread> threads;
  for (const char c : std::string("abcd")) {
    threads.emplace_back([&subject, c] {
      for (int i = 0; i < 20; ++i) {
        subject.log.info("e", {{"v", std::string(200, c)}});
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  const std::string text = subject.written();
  const std::regex line("time=[^ ]+ level=info event=e v=(a{200}|b{200}|c{200}|d{200})");
  std::size_t count = 0;
  std::size_t start = 0;
  while (start < text.size()) {
    const std::size_t end = text.find('\n', start);
    REQUIRE(end != std::string::npos);
    CHECK(std::regex_match(text.substr(start, end - start), line));
    start = end + 1;
    ++count;
  }
  CHECK(count == 80);
}

class Watcher final : public relay::LogWatcher {
 public:
  void observe(const relay::LogEntry& entry) override {
    seen += std::string(entry.event) + ":" + std::string(entry.field("v")) + " ";
    json = entry.json();
  }
  std::string seen, json;
};

TEST_CASE("a watcher sees what is not written, but not the dialogue of level debug") {
  Subject subject(settings(LogLevel::error, Format::logfmt));
  Watcher watcher;
  CHECK_FALSE(subject.log.enabled(LogLevel::info));
  subject.log.watch(watcher);
  CHECK(subject.log.enabled(LogLevel::info));
  CHECK_FALSE(subject.log.enabled(LogLevel::debug));
  subject.log.info("a", {{"v", "1"}});
  subject.log.debug("b", {});
  CHECK(subject.written().empty());
  subject.log.error("c", {{"w", "2"}});
  CHECK(watcher.seen == "a:1 c: ");
  CHECK(nlohmann::json::parse(watcher.json)["w"] == "2");
  CHECK(subject.written().find("event=c") != std::string::npos);
}

TEST_CASE("format postfix: one prefix for Postfix's lines and for all others") {
  Subject subject(settings(LogLevel::info, Format::postfix));
  CHECK(subject.log.is_postfix());
  subject.log.info("removed", {{"id", "3KX0"}});
  subject.log.warning("auth-failed", {{"user", "to=<a>, relay=b"}});
  const std::string text = subject.written();
  const std::regex lines(
      "[A-Z][a-z]{2} [ 0-9][0-9] \\d\\d:\\d\\d:\\d\\d \\S+ postfix/qmgr\\[\\d+\\]: 3KX0: removed\n"
      "[^\n]* postfix/stsrelay\\[\\d+\\]: warning: event=auth-failed "
      "user=\"to=\\\\x3ca>, relay=b\"\n");
  CAPTURE(text);
  CHECK(std::regex_match(text, lines));
}

TEST_CASE("a log that cannot be written stops nothing") {
  relay::Log log(settings(LogLevel::info, Format::logfmt), -1);
  log.info("e", {{"v", "x"}});
}

}  // namespace
