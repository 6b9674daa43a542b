// One thread's event loop over libevent, and timers on it.
// Threading: everything except post() and stop() belongs to the thread that runs the loop.
#pragma once

#include <chrono>
#include <functional>
#include <memory>

struct event_base;

namespace relay::net {

class EventLoop {
 public:
  EventLoop();
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  /// Runs until stop(). Tasks posted before stop() have run when it returns.
  void run();
  /// Thread-safe. Ends run() after the tasks already posted.
  void stop();
  /// Thread-safe. Runs task on the loop's thread, in posting order, never inside post().
  void post(std::function<void()> task);
  /// Calls action on the loop's thread for each delivery of the signal (SIGTERM, SIGHUP …).
  void on_signal(int signal, std::function<void()> action);

  /// The libevent base; for relay/net only.
  [[nodiscard]] event_base* base() const;
  /// Owns object until release(object.get()) or the loop's end: for work that outlives its
  /// starter, such as a closing connection's last bytes. For relay/net only.
  void keep(std::shared_ptr<void> object);
  /// Destroys what keep() took; the caller may be that object.
  void release(const void* object);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// A one-shot timer. Not running after construction; destroying it stops it.
class Timer {
 public:
  Timer(EventLoop& loop, std::function<void()> action);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  /// (Re)arms the timer; action runs once, from the loop, never before delay has passed.
  /// The action may destroy the timer.
  void start(std::chrono::milliseconds delay);
  void stop();
  [[nodiscard]] bool running() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace relay::net
