#include "relay/trace_memory.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

using relay::LogEntry;
using relay::LogField;
using relay::TraceMemory;

void see(TraceMemory& memory, std::string_view event, const std::vector<LogField>& fields) {
  memory.observe(LogEntry{"2026-03-01T00:00:00.000Z", conf::LogLevel::info, event, fields});
}

TEST_CASE("a message's events are remembered in order, with the notices about it") {
  TraceMemory memory(1 << 20);
  see(memory, "accepted", {{"id", "M1"}});
  see(memory, "accepted", {{"id", "M2"}});
  see(memory, "ready", {});
  see(memory, "notice", {{"id", "N1"}, {"about", "M1"}});
  see(memory, "delivery", {{"id", "N1"}});
  const auto lines = memory.about_message("M1");
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].find("accepted") != std::string::npos);
  CHECK(lines[1].find("\"about\":\"M1\"") != std::string::npos);
  CHECK(memory.about_message("N1").size() == 2);
  CHECK(memory.about_message("M3").empty());
}

TEST_CASE("of a domain, only the dialogue is found") {
  TraceMemory memory(1 << 20);
  see(memory, "dialogue", {{"id", "M1"}, {"domain", "a.example"}});
  see(memory, "session", {{"id", "M1"}, {"domain", "a.example"}});
  CHECK(memory.about_domain("a.example").size() == 1);
  CHECK(memory.about_domain("b.example").empty());
}

TEST_CASE("the oldest go when there is no more room; without room nothing is kept") {
  TraceMemory memory(4000);
  for (int i = 0; i < 1000; ++i) {
    see(memory, "delivery", {{"id", "M" + std::to_string(i)}});
  }
  CHECK(memory.about_message("M0").empty());
  CHECK(memory.about_message("M999").size() == 1);
  TraceMemory none(0);
  see(none, "delivery", {{"id", "M1"}});
  CHECK(none.about_message("M1").empty());
}

}  // namespace
