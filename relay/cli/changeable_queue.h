// A queue that a command may change: through the daemon if one runs, or else by itself.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "conf/config.h"
#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"
#include "relay/net/clock.h"
#include "relay/net/event_loop.h"
#include "relay/spool/message_change.h"
#include "relay/spool/spool.h"

namespace relay::cli {

/// What --config names; nullopt: it is wrong, which it has said.
[[nodiscard]] std::optional<conf::Config> configuration(const CommonOptions& options);

class ChangeableQueue {
 public:
  explicit ChangeableQueue(const CommonOptions& options) : daemon_(options) {}

  /// false: it cannot be changed, which was said.
  bool open(const CommonOptions& options, const conf::Config& config);
  /// The spool, if no daemon runs.
  [[nodiscard]] spool::Spool* own() const { return spool_.get(); }
  [[nodiscard]] const net::Clock& clock() const { return clock_; }
  net::EventLoop& loop() { return loop_; }
  Expected<Json, int> ask(const control::Request& request) { return daemon_.ask(request); }
  /// Of the own spool; false: it failed, which was said.
  bool change(const std::vector<spool::MessageChange>& changes);

 private:
  net::SystemClock clock_;
  net::EventLoop loop_;
  std::unique_ptr<spool::Spool> spool_;
  Daemon daemon_;
};

}  // namespace relay::cli
