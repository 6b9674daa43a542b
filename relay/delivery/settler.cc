#include "relay/delivery/settler.h"

#include <algorithm>
#include <utility>

namespace relay::delivery {
namespace {

constexpr std::chrono::minutes kLongestWait{1};
/// With the first wait of 5 s between them, this ends before a stop is forced.
constexpr int kRoundsAtShutdown = 3;

}  // namespace

Settler::Settler(net::EventLoop& loop, spool::Spool& spool, Log& log,
                 std::chrono::milliseconds first_wait)
    : loop_(loop),
      spool_(spool),
      log_(log),
      first_wait_(first_wait),
      wait_(first_wait),
      rounds_left_(kRoundsAtShutdown),
      again_(loop, [this] { submit_refused(); }) {}

void Settler::settle(spool::Settlement settlement, Done done) {
  submit(std::make_shared<Open>(Open{std::move(settlement), std::move(done)}));
}

void Settler::drain() {
  state_ = State::draining;
  wait_ = first_wait_;
  if (!refused_.empty()) {
    again_.start(std::chrono::milliseconds(0));
  }
}

void Settler::submit(const std::shared_ptr<Open>& open) {
  spool_.settle(open->settlement, loop_,
                [this, alive = std::weak_ptr(alive_), open](const spool::Stored<void>& result) {
                  if (!alive.expired()) {
                    answered(open, result);
                  }
                });
}

bool Settler::final(const spool::Stored<void>& result) const {
  return result || result.error().kind == spool::StoreFault::Kind::closed || spool_.failed() ||
         (state_ == State::draining && rounds_left_ <= 0);
}

void Settler::answered(const std::shared_ptr<Open>& open, const spool::Stored<void>& result) {
  if (final(result)) {
    if (result) {
      wait_ = first_wait_;
    }
    const Done done = std::move(open->done);
    done(result);
    return;
  }
  if (std::exchange(open->refused, Open::Refused::before) == Open::Refused::never) {
    log_.error("settle-refused",
               {{"id", open->settlement.id.text()},
                {"detail", result.error().reason},
                {"remedy", "it is kept in memory and stored when there is room"}});
  }
  refused_.push_back(open);
  if (!again_.running()) {
    again_.start(wait_);
    if (state_ == State::running) {
      wait_ = std::min<std::chrono::milliseconds>(2 * wait_, kLongestWait);
    }
  }
}

void Settler::submit_refused() {
  if (state_ == State::draining) {
    --rounds_left_;
  }
  for (const auto& open : std::exchange(refused_, {})) {
    submit(open);
  }
}

}  // namespace relay::delivery
