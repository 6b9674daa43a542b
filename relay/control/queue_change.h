// Carries out one change of the queue: looks for the messages that are meant, some at a time, and
// has each changed whole or not at all. Lives in its callbacks until it has answered.
// Threading: one event loop, the one that owns the reader.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "relay/control/control_actions.h"
#include "relay/control/queue_selection.h"

namespace relay::control {

class QueueChanges : public std::enable_shared_from_this<QueueChanges> {
 public:
  using Respond = std::function<void(Response)>;

  QueueChanges(spool::SpoolReader& reader, const net::Clock& clock, DaemonActions daemon,
               QueueChange request);
  /// respond is called once, never before this returned.
  void start(Respond respond);

 private:
  using Batch = std::vector<spool::Envelope>;
  using Busy = std::set<std::pair<spool::MessageId, std::string>>;

  void step();
  [[nodiscard]] spool::Stored<Batch> next_named();
  [[nodiscard]] spool::Stored<Batch> next_listed();
  void apply(const std::shared_ptr<const Batch>& batch);
  [[nodiscard]] spool::MessageChange change_of(const spool::Envelope& envelope) const;
  void changed(const Batch& batch, const DaemonActions::QueueChanged& changed);
  void count(const spool::Envelope& envelope, std::size_t recipients);
  void count_busy(const Batch& batch, const Busy& busy);
  void bounce(const std::shared_ptr<const Batch>& batch, const Busy& busy);
  void bounce_one(const spool::Envelope& meant, const Busy& busy,
                  const std::function<void()>& done);
  void release(const std::shared_ptr<const Batch>& batch);
  void finish();

  spool::SpoolReader& reader_;
  const net::Clock& clock_;
  DaemonActions daemon_;
  QueueChange request_;
  QueueSelection selection_;
  net::WallTime started_;
  conf::Queue settings_;
  Respond respond_;
  std::size_t next_id_ = 0;
  std::optional<spool::MessageId> last_;
  enum class State { looking, seen_all } state_ = State::looking;
  std::optional<spool::StoreFault> fault_;
  std::size_t messages_ = 0, recipients_ = 0, under_way_ = 0, notices_ = 0;
  std::vector<std::string> ids_, missing_, busy_;  ///< busy_: some of it is being tried
};

}  // namespace relay::control
