#include "relay/event_feed.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace relay {
namespace {

constexpr std::size_t kBatch = 100;
constexpr std::size_t kBatchOctets = std::size_t{256} << 10;
constexpr std::chrono::minutes kLongestWait{1};
/// A stop waits so long for who takes events slowly or not at all.
constexpr std::chrono::seconds kLongestDrain{2};

/// For what an operator did to a message; empty: programs need not know.
std::string_view word_for_change(std::string_view action) {
  struct Word {
    std::string_view action, word;
  };
  constexpr std::array<Word, 4> kWords{
      {{"hold", "held"}, {"release", "released"}, {"remove", "removed"}, {"bounce", "returned"}}};
  const auto* const found = std::ranges::find(kWords, action, &Word::action);
  return found == kWords.end() ? std::string_view{} : found->word;
}

/// The word that programs get for an event of the log; empty: none.
std::string_view word_for(const LogEntry& entry) {
  if (entry.event == "accepted") {
    return entry.event;
  }
  if (entry.event == "queue-change") {
    return word_for_change(entry.field("action"));
  }
  if (entry.event != "delivery") {
    return {};
  }
  const std::string_view result = entry.field("result");
  if (result == "delivered" || result == "deferred") {
    return result;
  }
  // What went nowhere was not delivered (staging says what became of it).
  return result == "failed" || result == "expired" ? "bounced" : "staged";
}

}  // namespace

std::optional<std::string> event_line(const LogEntry& entry) {
  const std::string_view word = word_for(entry);
  if (word.empty()) {
    return std::nullopt;
  }
  return LogEntry{entry.time, entry.level, word, entry.fields}.json() + '\n';
}

EventFeed::EventFeed(net::EventLoop& loop, Log& log, std::unique_ptr<EventSink> sink,
                     std::size_t most, std::chrono::milliseconds first_wait)
    : loop_(loop),
      log_(log),
      most_(most),
      first_wait_(first_wait),
      wait_(first_wait),
      again_(loop, [this] { pump(); }),
      drain_limit_(loop, [this] { drained(); }),
      sink_(std::move(sink)) {}

EventFeed::~EventFeed() {
  const std::lock_guard lock(mutex_);
  if (!waiting_.empty()) {
    log_.warning("events-lost", {{"count", std::to_string(waiting_.size())},
                                 {"detail", "they were not handed over before the stop"}});
  }
}

void EventFeed::observe(const LogEntry& entry) {
  auto line = event_line(entry);
  if (!line) {
    return;
  }
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(*line));
  if (waiting_.size() > most_) {
    // Those under way may arrive yet.
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(batch_));
    ++lost_;
  }
  if (!std::exchange(woken_, true)) {
    loop_.post([this, alive = std::weak_ptr(alive_)] {
      if (!alive.expired()) {
        pump();
      }
    });
  }
}

EventTotals EventFeed::totals() const {
  const std::lock_guard lock(mutex_);
  return {sent_, lost_, waiting_.size()};
}

void EventFeed::drain(std::function<void()> done) {
  drained_ = std::move(done);
  drain_limit_.start(kLongestDrain);
  again_.stop();
  wait_ = first_wait_;
  pump();
}

void EventFeed::drained() {
  if (drained_) {
    loop_.post(std::exchange(drained_, nullptr));
  }
}

void EventFeed::pump() {
  std::string lines;
  {
    const std::lock_guard lock(mutex_);
    woken_ = false;
    if (batch_ > 0 || again_.running()) {
      return;
    }
    while (batch_ < std::min(waiting_.size(), kBatch) && lines.size() < kBatchOctets) {
      lines += waiting_.at(batch_++);
    }
  }
  if (lines.empty()) {
    drained();
    return;
  }
  sink_->send(std::move(lines), [this](const std::string& fault) { handed_over(fault); });
}

void EventFeed::handed_over(const std::string& fault) {
  {
    const std::lock_guard lock(mutex_);
    const std::size_t batch = std::exchange(batch_, 0);
    if (fault.empty()) {
      sent_ += batch;
      waiting_.erase(waiting_.begin(), waiting_.begin() + static_cast<std::ptrdiff_t>(batch));
    }
  }
  if (!fault.empty()) {
    failed(fault);
    return;
  }
  if (std::exchange(state_, State::fine) == State::failing) {
    log_.info("events-recovered", {});
  }
  wait_ = first_wait_;
  pump();
}

void EventFeed::failed(const std::string& fault) {
  if (std::exchange(state_, State::failing) == State::fine) {
    log_.warning(
        "events-failing",
        {{"detail", fault}, {"remedy", "events wait in memory, events.queue of them at most"}});
  }
  if (drained_) {
    drained();
    return;
  }
  again_.start(wait_);
  wait_ = std::min<std::chrono::milliseconds>(2 * wait_, kLongestWait);
}

}  // namespace relay
