// Hands settlements to the spool and keeps each until it is stored: what was delivered and is not
// recorded would be delivered again. Belongs to one event loop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <vector>

#include "relay/log.h"
#include "relay/net/event_loop.h"
#include "relay/spool/spool.h"

namespace relay::delivery {

class Settler {
 public:
  using Done = std::function<void(const spool::Stored<void>&)>;

  /// first_wait: before a refused settlement is handed over again; doubles to a minute.
  Settler(net::EventLoop& loop, spool::Spool& spool, Log& log,
          std::chrono::milliseconds first_wait);
  ~Settler() = default;
  Settler(const Settler&) = delete;
  Settler& operator=(const Settler&) = delete;

  /// done: it is stored; or it never will be, because the spool failed, or at the end of drain().
  void settle(spool::Settlement settlement, Done done);
  /// At shutdown: what was refused is handed over again at once and twice more, then given up.
  void drain();

 private:
  struct Open {
    spool::Settlement settlement;
    Done done;
    enum class Refused { never, before } refused = Refused::never;
  };

  void submit(const std::shared_ptr<Open>& open);
  void answered(const std::shared_ptr<Open>& open, const spool::Stored<void>& result);
  void submit_refused();
  [[nodiscard]] bool final(const spool::Stored<void>& result) const;

  net::EventLoop& loop_;
  spool::Spool& spool_;
  Log& log_;
  std::chrono::milliseconds first_wait_;
  std::chrono::milliseconds wait_;
  enum class State { running, draining } state_ = State::running;
  int rounds_left_;  ///< when draining
  std::vector<std::shared_ptr<Open>> refused_;
  net::Timer again_;
  /// Answers come from the spool thread and may outlive the settler.
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace relay::delivery
