#include "relay/net/event_loop.h"

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <mutex>
#include <new>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include <event2/event.h>
#include <event2/thread.h>

#include "relay/net/handles.h"

namespace relay::net {
namespace {

struct FreeBase {
  void operator()(event_base* base) const { event_base_free(base); }
};
using BaseHandle = std::unique_ptr<event_base, FreeBase>;

void prepare_process() {
  static std::once_flag prepared;
  std::call_once(prepared, [] {
    if (evthread_use_pthreads() != 0) {
      throw std::bad_alloc();
    }
    // A write to a socket that the peer has closed is an error code, not a reason to die.
    std::ignore = std::signal(SIGPIPE, SIG_IGN);
  });
}

BaseHandle new_base() {
  prepare_process();
  BaseHandle base(event_base_new());
  if (!base) {
    throw std::bad_alloc();
  }
  return base;
}

timeval to_timeval(std::chrono::microseconds delay) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(delay);
  timeval value{};
  value.tv_sec = seconds.count();
  value.tv_usec = (delay - seconds).count();
  return value;
}

}  // namespace

struct EventLoop::State {
  struct Signal {
    std::function<void()> action;
    EventHandle handle;
  };

  State() : base(new_base()), wake(event_new(base.get(), -1, 0, &State::on_wake, this)) {
    if (!wake) {
      throw std::bad_alloc();
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  State(State&&) = delete;
  State& operator=(State&&) = delete;

  ~State() {
    signals.clear();
    wake.reset();
    // A task may own what, when destroyed, posts or keeps something else.
    while (!tasks.empty() || !kept.empty()) {
      std::exchange(tasks, {}).clear();
      std::exchange(kept, {}).clear();
    }
    // Bufferevents freed with a deferred callback pending are finalized by the loop only.
    for (int pass = 0; pass < 4; ++pass) {
      std::ignore = event_base_loop(base.get(), EVLOOP_NONBLOCK);
    }
  }

  // An exception that leaves a noexcept trampoline ends the process with its message on stderr.
  static void on_wake(evutil_socket_t /*fd*/, short /*what*/, void* self) noexcept {
    auto* state = static_cast<State*>(self);
    {
      const std::scoped_lock lock(state->mutex);
      state->running.swap(state->tasks);
    }
    for (auto& task : state->running) {
      task();
      task = nullptr;  // what it captured dies in posting order, too
    }
    state->running.clear();
  }

  static void on_signal(evutil_socket_t /*fd*/, short /*what*/, void* signal) noexcept {
    static_cast<Signal*>(signal)->action();
  }

  // A timer of zero, not event_active(): tasks that post tasks then alternate with I/O instead of
  // starving it.
  void wake_up() const {
    const timeval now{};
    if (wake) {
      event_add(wake.get(), &now);
    }
  }

  BaseHandle base;
  EventHandle wake;
  std::mutex mutex;
  std::vector<std::function<void()>> tasks;    // guarded by mutex
  std::vector<std::function<void()>> running;  // the batch being worked through
  std::vector<std::unique_ptr<Signal>> signals;
  std::unordered_map<const void*, std::shared_ptr<void>> kept;
};

EventLoop::EventLoop() : state_(std::make_unique<State>()) {}
EventLoop::~EventLoop() = default;

void EventLoop::run() {
  std::ignore = event_base_loop(state_->base.get(), EVLOOP_NO_EXIT_ON_EMPTY);
}

void EventLoop::stop() {
  post([base = state_->base.get()] { event_base_loopbreak(base); });
}

void EventLoop::post(std::function<void()> task) {
  bool first = false;
  {
    const std::scoped_lock lock(state_->mutex);
    first = state_->tasks.empty();
    state_->tasks.push_back(std::move(task));
  }
  if (first) {
    state_->wake_up();
  }
}

void EventLoop::on_signal(int signal, std::function<void()> action) {
  auto entry = std::make_unique<State::Signal>();
  entry->action = std::move(action);
  entry->handle.reset(evsignal_new(state_->base.get(), signal, &State::on_signal, entry.get()));
  if (!entry->handle || event_add(entry->handle.get(), nullptr) != 0) {
    throw std::bad_alloc();
  }
  state_->signals.push_back(std::move(entry));
}

event_base* EventLoop::base() const {
  return state_->base.get();
}

void EventLoop::keep(std::shared_ptr<void> object) {
  const void* key = object.get();
  state_->kept.insert_or_assign(key, std::move(object));
}

void EventLoop::release(const void* object) {
  std::ignore = state_->kept.extract(object);
}

struct Timer::State {
  State(EventLoop& loop, std::function<void()> on_due)
      : action(std::move(on_due)), handle(evtimer_new(loop.base(), &State::on_due, this)) {
    if (!handle) {
      throw std::bad_alloc();
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  State(State&&) = delete;
  State& operator=(State&&) = delete;
  ~State() {
    if (destroyed != nullptr) {
      *destroyed = true;
    }
  }

  void arm(std::chrono::steady_clock::duration delay) const {
    const timeval value = to_timeval(std::max(std::chrono::ceil<std::chrono::microseconds>(delay),
                                              std::chrono::microseconds::zero()));
    event_add(handle.get(), &value);
  }

  static void on_due(evutil_socket_t /*fd*/, short /*what*/, void* self) noexcept {
    auto* state = static_cast<State*>(self);
    // libevent counts from the start of the loop's round and on a coarse clock: up to some
    // milliseconds early.
    const auto left = state->due - std::chrono::steady_clock::now();
    if (left > std::chrono::steady_clock::duration::zero()) {
      state->arm(left);
      return;
    }
    bool gone = false;
    state->destroyed = &gone;
    auto action = std::move(state->action);
    action();
    if (!gone) {
      state->action = std::move(action);
      state->destroyed = nullptr;
    }
  }

  std::function<void()> action;
  EventHandle handle;
  std::chrono::steady_clock::time_point due;
  bool* destroyed = nullptr;  // set while the action runs
};

Timer::Timer(EventLoop& loop, std::function<void()> action)
    : state_(std::make_unique<State>(loop, std::move(action))) {}
Timer::~Timer() = default;

void Timer::start(std::chrono::milliseconds delay) {
  state_->due = std::chrono::steady_clock::now() + delay;
  state_->arm(delay);
}

void Timer::stop() {
  event_del(state_->handle.get());
}

bool Timer::running() const {
  return evtimer_pending(state_->handle.get(), nullptr) != 0;
}

}  // namespace relay::net
