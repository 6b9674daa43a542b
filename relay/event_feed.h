// The stream of events for programs: JSON lines about messages, to a UNIX socket or by HTTPS POST.
// Events wait in bounded memory; what does not fit, or is still there at the end, is lost and
// counted. Threading: observe() and totals() anywhere, all else on the loop.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "relay/event_sink.h"
#include "relay/log.h"
#include "relay/net/event_loop.h"

namespace relay {

struct EventTotals {
  std::uint64_t sent = 0, lost = 0;
  std::size_t waiting = 0;
};

/// The line of an event that programs get, with its end; nullopt: it is none of theirs.
[[nodiscard]] std::optional<std::string> event_line(const LogEntry& entry);

class EventFeed final : public LogWatcher {
 public:
  /// most: events that wait. first_wait: after a failure; doubles up to a minute.
  EventFeed(net::EventLoop& loop, Log& log, std::unique_ptr<EventSink> sink, std::size_t most,
            std::chrono::milliseconds first_wait);
  EventFeed(const EventFeed&) = delete;
  EventFeed& operator=(const EventFeed&) = delete;
  ~EventFeed() override;

  void observe(const LogEntry& entry) override;
  [[nodiscard]] EventTotals totals() const;
  /// done runs when nothing waits any more, handing over fails, or it takes too long.
  void drain(std::function<void()> done);

 private:
  void pump();
  void handed_over(const std::string& fault);
  void failed(const std::string& fault);
  void drained();

  net::EventLoop& loop_;
  Log& log_;
  const std::size_t most_;
  const std::chrono::milliseconds first_wait_;
  std::chrono::milliseconds wait_;
  mutable std::mutex mutex_;
  std::deque<std::string> waiting_;  ///< under the mutex, as is the next
  bool woken_ = false;
  std::atomic<std::uint64_t> sent_{0}, lost_{0};
  std::size_t batch_ = 0;  ///< of the first that wait, on their way
  enum class State { fine, failing } state_ = State::fine;
  std::function<void()> drained_;
  net::Timer again_;
  net::Timer drain_limit_;
  std::unique_ptr<EventSink> sink_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace relay
