#include "relay/event_feed.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

namespace {

using namespace std::chrono_literals;
using relay::EventFeed;
using relay::EventSink;
using relay::LogEntry;
using relay::LogField;

/// Takes batches, or refuses so many first; answers later, as a real one does.
class FakeSink final : public EventSink {
 public:
  struct Record {
    std::vector<std::string> batches;
    int refusals = 0;
    bool silent = false;
  };
  FakeSink(relay::net::EventLoop& loop, Record& record)
      : record_(record), later_(loop, [this] { answer(); }) {}
  void send(std::string lines, Done done) override {
    record_.batches.push_back(std::move(lines));
    done_ = std::move(done);
    if (!record_.silent) {
      later_.start(0ms);
    }
  }

 private:
  void answer() {
    const bool refused = record_.refusals > 0;
    record_.refusals -= refused ? 1 : 0;
    const Done done = std::move(done_);
    done(refused ? "refused" : "");
  }
  Record& record_;
  relay::net::Timer later_;
  Done done_;
};

struct Feed {
  explicit Feed(std::size_t most = 1000)
      : feed(loop, log, std::make_unique<FakeSink>(loop, record), most, 1ms) {}
  void deliver(int count) {
    for (int i = 0; i < count; ++i) {
      const std::vector<LogField> fields{{"id", "M" + std::to_string(i)}, {"result", "delivered"}};
      feed.observe(LogEntry{"t", conf::LogLevel::info, "delivery", fields});
    }
  }
  /// Until all that can be handed over is.
  void run() {
    relay::net::Timer look(loop, [&] {
      if (feed.totals().waiting == 0) {
        loop.stop();
      } else {
        look_again->start(1ms);
      }
    });
    look_again = &look;
    look.start(1ms);
    loop.run();
  }
  relay::net::EventLoop loop;
  relay::Log log{conf::Logging{}, -1};
  FakeSink::Record record;
  relay::net::Timer* look_again = nullptr;
  EventFeed feed;
};

std::size_t count_lines(const std::vector<std::string>& batches) {
  std::size_t lines = 0;
  for (const std::string& batch : batches) {
    lines += static_cast<std::size_t>(std::count(batch.begin(), batch.end(), '\n'));
  }
  return lines;
}

TEST_CASE("programs hear of acceptance and of every outcome, in words of their own") {
  struct Row {
    const char *event, *result, *word;
  };
  for (const Row& row :
       {Row{"accepted", "", "accepted"}, Row{"queue-change", "hold", "held"},
        Row{"queue-change", "release", "released"}, Row{"queue-change", "remove", "removed"},
        Row{"queue-change", "bounce", "returned"}, Row{"delivery", "sinked", "staged"},
        Row{"delivery", "dry-run", "staged"}, Row{"delivery", "delivered", "delivered"},
        Row{"delivery", "deferred", "deferred"}, Row{"delivery", "failed", "bounced"},
        Row{"delivery", "expired", "bounced"}}) {
    CAPTURE(row.word);
    const std::vector<LogField> fields{
        {"id", "M1"}, {"result", row.result}, {"action", row.result}};
    const auto line = event_line(LogEntry{"t", conf::LogLevel::info, row.event, fields});
    REQUIRE(line);
    CHECK(line->find("\"event\":\"" + std::string(row.word) + "\"") != std::string::npos);
    CHECK(line->find('\n') == line->size() - 1);
  }
  const std::vector<LogField> none;
  CHECK_FALSE(event_line(LogEntry{"t", conf::LogLevel::info, "session", none}));
  const std::vector<LogField> hastened{{"id", "M1"}, {"action", "retry"}};
  CHECK_FALSE(event_line(LogEntry{"t", conf::LogLevel::info, "queue-change", hastened}));
}

TEST_CASE("events go in batches of a hundred, one batch at a time") {
  Feed feed;
  feed.deliver(250);
  feed.run();
  CHECK(feed.record.batches.size() == 3);
  CHECK(count_lines(feed.record.batches) == 250);
  CHECK(feed.feed.totals().sent == 250);
  CHECK(feed.feed.totals().lost == 0);
}

TEST_CASE("what was not taken is handed over again") {
  Feed feed;
  feed.record.refusals = 2;
  feed.deliver(3);
  feed.run();
  REQUIRE(feed.record.batches.size() == 3);
  CHECK(feed.record.batches[0] == feed.record.batches[2]);
  CHECK(feed.feed.totals().sent == 3);
}

TEST_CASE("when too many wait the oldest are lost and counted, but not those under way") {
  Feed feed(150);
  feed.record.silent = true;
  feed.deliver(120);
  relay::net::Timer stop(feed.loop, [&] { feed.loop.stop(); });
  stop.start(1ms);
  feed.loop.run();
  REQUIRE(feed.record.batches.size() == 1);  // a hundred are under way
  feed.deliver(100);
  CHECK(feed.feed.totals().waiting == 150);
  CHECK(feed.feed.totals().lost == 70);
}

TEST_CASE("at the end it is tried once more what waits, and no longer than that") {
  for (const int refusals : {0, 1}) {
    Feed feed;
    feed.record.refusals = refusals;
    feed.deliver(3);
    feed.feed.drain([&] { feed.loop.stop(); });
    feed.loop.run();
    CHECK(feed.feed.totals().waiting == (refusals == 0 ? 0 : 3));
  }
}

}  // namespace
