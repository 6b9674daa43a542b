#include "relay/control/control_protocol.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/control/timestamp.h"

namespace {

using namespace relay::control;
using relay::spool::MessageId;

const std::chrono::sys_days kDay = std::chrono::year(2026) / 3 / 1;

TEST_CASE("every request comes back from its line as it was") {
  const std::string id = MessageId(1'234'567'890).text();
  const std::vector<std::string> lines{
      R"({"command":"queue list","limit":1000})",
      R"({"command":"queue list","domain":"a.example","sender":"b","recipient":"c","limit":7,)"
      R"("after":")" +
          id + R"("})",
      R"({"command":"queue show","id":")" + id + R"("})",
      R"({"command":"queue list","older_than":60,"newer_than":3600,"held":true,"held_for":"why",)"
      R"("limit":7})",
      R"({"command":"queue change","action":"retry","ids":[")" + id + R"("]})",
      R"({"command":"queue change","action":"release","domain":"a.example","held":true})",
      R"({"command":"queue change","action":"requeue","older_than":5,"dry_run":true})",
      R"({"command":"queue change","action":"remove","all":true})",
      R"({"command":"queue change","action":"bounce","sender":"a","reason":"left us"})",
      R"({"command":"queue pause","kind":"domain","name":"a.example","reason":"asked for"})",
      R"({"command":"queue pause","kind":"everything"})",
      R"({"command":"queue resume","kind":"route","name":"smtp.example:587"})",
      R"({"command":"queue import"})",
      R"({"command":"client list","limit":1000})",
      R"({"command":"client list","limit":5,"after":"app1"})",
      R"({"command":"client hold","name":"app1","reason":"hacked"})",
      R"({"command":"client release","name":"app1"})",
      R"({"command":"client release","name":"app1","keep_messages":true})",
      R"({"command":"queue top","by_sender":true,"limit":5})",
      R"({"command":"queue why","id":")" + id + R"("})",
      R"({"command":"policy list","limit":5,"after":"a.example"})",
      R"({"command":"policy show","domain":"a.example"})",
      R"({"command":"policy export","limit":5,"after":"a.example"})",
      R"({"command":"policy refresh","domain":"a.example"})",
      R"({"command":"policy history","domain":"a.example"})",
      R"({"command":"status"})",
      R"({"command":"results","day":"2026-03-01","limit":10,"offset":20})",
      R"({"command":"report list","limit":1000})",
      R"({"command":"report list","day":"2026-03-01","domain":"a.example","all":true,"limit":7,)"
      R"("after":"2026-03-01 b.example"})",
      R"({"command":"report preview","day":"2026-03-01"})",
      R"({"command":"report preview","day":"2026-03-01","domain":"a.example"})",
      R"({"command":"report show","day":"2026-03-01","domain":"a.example"})",
      R"({"command":"report show","day":"2026-03-01","domain":"a.example","part":2})",
      R"({"command":"report send"})",
      R"({"command":"report send","domain":"a.example"})",
      R"({"command":"report suppress"})",
      R"({"command":"report suppress","uri":"mailto:a@b.example","until":"2026-03-01",)"
      R"("reason":"why","lift":true})",
      R"({"command":"report bounced","domain":"a.example","message_id":"1.h.Q@b.example",)"
      R"("recipient":"tls@a.example","reason":"550 no"})",
      R"({"command":"reload"})",
      R"({"command":"trace","id":")" + id + R"("})",
      R"({"command":"trace","domain":"a.example","seconds":600})",
  };
  for (const std::string& line : lines) {
    CAPTURE(line);
    const auto request = parse_request(line);
    REQUIRE(request);
    CHECK(to_line(*request) == line + "\n");
  }
}

TEST_CASE("a request's members reach their places") {
  const auto list = parse_request(
      R"({"command":"queue list","domain":"a.example","sender":"b","recipient":"c","limit":7})");
  REQUIRE(list);
  const auto& wanted = std::get<QueueList>(*list);
  CHECK(wanted.filter.domain == "a.example");
  CHECK(wanted.filter.sender == "b");
  CHECK(wanted.filter.recipient == "c");
  CHECK(wanted.limit == 7);
  CHECK_FALSE(wanted.after);
  CHECK(std::get<QueueList>(*parse_request(R"({"command":"queue list"})")).limit == kDefaultLimit);
  CHECK(std::get<Results>(*parse_request(R"({"command":"results","day":"2026-03-01"})")).day ==
        kDay);
}

TEST_CASE("a request that is wrong is refused with the reason") {
  struct Row {
    std::string line;
    const char* reason;
  };
  const std::vector<Row> rows{
      {"", "a request is one JSON object"},
      {"hello", "a request is one JSON object"},
      {"[]", "a request is one JSON object"},
      {"{}", "a request is one JSON object"},
      {R"({"command":5})", "a request is one JSON object"},
      {R"({"command":"status"} x)", "a request is one JSON object"},
      {std::string(60'000, '['), "a request is one JSON object"},
      {"{\"command\":\"\xff\"}", "a request is one JSON object"},
      {R"({"command":"fly"})", "\"fly\" is no command of this daemon"},
      {R"({"command":"queue show"})", "queue show: \"id\" is missing"},
      {R"({"command":"queue show","id":""})", "queue show"},
      {R"({"command":"queue show","id":7})", "queue show: \"id\" must be a text"},
      {R"({"command":"queue show","id":"not an id"})",
       "queue show: \"not an id\" is no message id"},
      {R"({"command":"queue list","limit":0})", "queue list: \"limit\" must not be 0"},
      {R"({"command":"queue list","limit":-1})", "queue list: \"limit\" must be a whole number"},
      {R"({"command":"queue list","limit":10001})", "up to 10000"},
      {R"({"command":"queue list","limit":"7"})", "queue list: \"limit\" must be a whole number"},
      {R"({"command":"queue list","domian":"x"})", "\"domian\" is no member of this request"},
      {R"({"command":"queue change"})", "queue change: \"action\" is missing"},
      {R"({"command":"queue change","action":"fly","all":true})", "\"fly\" is none of hold, "},
      {R"({"command":"queue change","action":"hold"})", "say which messages"},
      {R"({"command":"queue change","action":"hold","all":true,"domain":"a"})", "neither"},
      {R"({"command":"queue change","action":"hold","ids":["?"]})", "\"?\" is no message id"},
      {R"({"command":"queue pause","kind":"domain"})", "queue pause: \"name\" is missing"},
      {R"({"command":"queue pause","kind":"everything","name":"a"})", "everything has no"},
      {R"({"command":"results"})", "results: \"day\" is missing"},
      {R"({"command":"results","day":"2026-02-30"})", "\"2026-02-30\" is no day"},
      {R"({"command":"report list","day":"x"})", "report list: \"x\" is no day"},
      {R"({"command":"report show","domain":"a.example"})", "report show: \"day\" is missing"},
      {R"({"command":"report show","day":"2026-03-01"})", "report show: \"domain\" is missing"},
      {R"({"command":"policy show"})", "policy show: \"domain\" is missing"},
      {R"({"command":"policy refresh"})", "policy refresh: \"domain\" is missing"},
      {R"({"command":"policy history"})", "policy history: \"domain\" is missing"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.line);
    const auto request = parse_request(row.line);
    REQUIRE_FALSE(request);
    CHECK(request.error().find(row.reason) != std::string::npos);
  }
}

TEST_CASE("responses come back from their lines") {
  CHECK(to_line(Response{R"({"a":1})", {}}) == "{\"ok\":true,\"data\":{\"a\":1}}\n");
  CHECK(parse_response(R"({"ok":true,"data":{"a":1}})")->data == R"({"a":1})");
  const std::string refusal = to_line(Response{{}, "no \"such\"\nthing \xff"});
  CHECK(refusal.find('\n') == refusal.size() - 1);
  CHECK(parse_response(refusal)->error == "no \"such\"\nthing \xef\xbf\xbd");
  for (const char* line : {"", "true", "{}", R"({"ok":1})", "{\"ok\":true"}) {
    CHECK_FALSE(parse_response(line));
  }
  CHECK_FALSE(parse_response(R"({"ok":false})")->error.empty());
}

TEST_CASE("lines are cut however the bytes arrive, up to their limit") {
  LineBuffer buffer(5);
  for (const char c : std::string("abc\r\n\n12345\nx")) {
    buffer.receive({&c, 1});
  }
  CHECK(buffer.next() == "abc");
  CHECK(buffer.next() == "");
  CHECK(buffer.next() == "12345");
  CHECK_FALSE(buffer.next());
  CHECK_FALSE(buffer.overflowed());
  buffer.receive("23456");
  CHECK(buffer.overflowed());
  CHECK_FALSE(buffer.next());
  buffer.receive("\n");
  CHECK(buffer.overflowed());
  CHECK_FALSE(buffer.next());
}

TEST_CASE("moments and days are written and read as RFC 3339 in UTC") {
  struct Row {
    long seconds;
    const char* text;
  };
  for (const Row& row : std::vector<Row>{{0, "1970-01-01T00:00:00Z"},
                                         {1'772'357'405, "2026-03-01T09:30:05Z"},
                                         {951'782'399, "2000-02-28T23:59:59Z"},
                                         {951'782'400, "2000-02-29T00:00:00Z"}}) {
    const relay::net::WallTime time{std::chrono::seconds(row.seconds)};
    CHECK(to_rfc3339(time) == row.text);
    CHECK(to_rfc3339(time + std::chrono::milliseconds(999)) == row.text);
    CHECK(parse_rfc3339(row.text) == time);
  }
  for (const char* text : {"", "2026-03-01", "2026-03-01T09:30:00", "2026-03-01T24:00:00Z",
                           "2026-13-01T00:00:00Z", "2026-03-01T09:30:00+", "2026-3-01T09:30:00ZZ",
                           "2026-03-01 09:30:00Z", "2026-03-01T-9:30:00Z"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_rfc3339(text));
  }
  CHECK(day_text(kDay) == "2026-03-01");
  CHECK(parse_day("2026-03-01") == kDay);
  CHECK_FALSE(parse_day("2025-02-29"));
  CHECK_FALSE(parse_day("2026-03-01x"));
}

}  // namespace
