// What a worker remembers of upstreams: which were dead a moment ago, and which refuse our
// credentials, so that mail through them is held and an operator alarmed. By NextHop::key().
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "relay/net/clock.h"

namespace relay::delivery {

class UpstreamStates {
 public:
  /// One that refuses our credentials.
  struct Held {
    std::string upstream;  ///< the key
    std::string reply;     ///< its last word about them, or one sentence of ours
    net::WallTime since{};
  };
  enum class Change { none, held, released };

  /// Whether a session with the upstream may be tried now. Of one that is held, one attempt in five
  /// minutes is: it costs an account at the provider less than a queue full would.
  [[nodiscard]] bool may_try(const std::string& key, net::WallTime now);
  /// It refuses the credentials; held: that is news.
  Change refused(const std::string& key, const std::string& reply, net::WallTime now);
  Change accepted(const std::string& key);
  /// Why mail waits for it; nullopt: it does not.
  [[nodiscard]] std::optional<Held> held(const std::string& key) const;
  /// Forgets who is held, for new credentials. Answer: the keys.
  std::vector<std::string> release_all();

  /// It could not be used and is tried last until then.
  void failed(const std::string& key, net::WallTime until) { dead_until_[key] = until; }
  void worked(const std::string& key) { dead_until_.erase(key); }
  [[nodiscard]] bool dead(const std::string& key, net::WallTime now);

  // From any thread.
  [[nodiscard]] std::vector<Held> all_held() const;
  [[nodiscard]] std::uint64_t refusals() const { return refusals_; }

 private:
  struct State {
    Held held;
    net::WallTime next_test{};
  };
  mutable std::mutex mutex_;  ///< of held_
  std::map<std::string, State> held_;
  std::atomic<std::uint64_t> refusals_{0};
  std::unordered_map<std::string, net::WallTime> dead_until_;
};

}  // namespace relay::delivery
