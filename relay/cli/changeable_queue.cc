#include "relay/cli/changeable_queue.h"

#include <string>
#include <utility>

#include "relay/settings.h"

namespace relay::cli {

std::optional<conf::Config> configuration(const CommonOptions& options) {
  auto config = load_config(options.config_file);
  if (config) {
    return std::move(*config);
  }
  for (const std::string& error : config.error()) {
    complain(error);
  }
  return std::nullopt;
}

bool ChangeableQueue::open(const CommonOptions& options, const conf::Config& config) {
  const std::string socket = options.socket.empty() ? config.control.socket : options.socket;
  if (ControlClient::connect(socket, Daemon::kPatience)) {
    return true;
  }
  auto spool = spool::Spool::open({config.queue.path, config.queue.min_free, {}}, clock_);
  if (!spool) {
    complain(spool.error());
    return false;
  }
  spool_ = std::move(*spool);
  return true;
}

bool ChangeableQueue::change(const std::vector<spool::MessageChange>& changes) {
  bool done = false;
  spool_->change(changes, loop_, [&](const spool::Stored<std::vector<std::size_t>>& changed) {
    done = changed.has_value();
    if (!changed) {
      complain(changed.error().reason);
    }
    loop_.stop();
  });
  loop_.run();
  return done;
}

}  // namespace relay::cli
