// A cancellable asynchronous operation, and the one contract all of them keep.
//
// The callback given to a starting function runs at most once, never before that function has
// returned, never after the Operation was destroyed, and may destroy its owner as its last act.
// Threading: an Operation belongs to the event loop it was started on.
#pragma once

#include <memory>
#include <utility>

namespace relay::net {

/// Owns a running operation; destroying (or overwriting) it cancels the operation.
class [[nodiscard]] Operation {
 public:
  /// What an implementation derives from. Its destructor cancels: no callback runs after it.
  /// An implementation moves its callback out of itself before the call and touches no member
  /// afterwards, because the callback may destroy the Operation.
  class Task {
   public:
    Task() = default;
    Task(const Task&) = delete;
    Task& operator=(const Task&) = delete;
    Task(Task&&) = delete;
    Task& operator=(Task&&) = delete;
    virtual ~Task() = default;
  };

  Operation() = default;
  explicit Operation(std::unique_ptr<Task> task) : task_(std::move(task)) {}

  void cancel() { task_.reset(); }

 private:
  std::unique_ptr<Task> task_;
};

}  // namespace relay::net
