// Keeps the operator's rules: those of the configuration, the preloaded pins, and what commands set
// (on disk). Makes the LocalRules in force, tells who judges by them, logs what is set, removed and
// over. Threading: one event loop.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "conf/preload.h"
#include "conf/tls_rules.h"
#include "relay/delivery/local_rules.h"
#include "relay/log.h"
#include "relay/net/clock.h"
#include "relay/net/event_loop.h"
#include "relay/spool/spool.h"

namespace relay::delivery {

/// Rules that are over are shown for so long.
inline constexpr std::chrono::days kEndedRulesShown{7};

class RuleBook {
 public:
  /// References outlive it.
  struct Parts {
    net::EventLoop& loop;
    const net::Clock& clock;
    spool::Spool& spool;
    Log& log;
  };
  using Publish = std::function<void(const std::shared_ptr<const LocalRules>&)>;

  /// stored: the overrides on disk.
  RuleBook(const Parts& parts, conf::TlsPolicy policy, conf::Preload preload,
           std::vector<spool::PolicyOverride> stored);
  ~RuleBook() = default;
  RuleBook(const RuleBook&) = delete;
  RuleBook& operator=(const RuleBook&) = delete;

  /// Called with the rules whenever a command changed them.
  void on_change(Publish publish) { publish_ = std::move(publish); }
  /// A reload; whoever reloads hands the new rules() on.
  void configure(conf::TlsPolicy policy, conf::Preload preload);
  /// Logs what weakens or suspends the rules in force, and what is over.
  void announce();
  [[nodiscard]] const std::shared_ptr<const LocalRules>& rules() const { return rules_; }

  /// Stores an override and puts it in force; done runs when both is so, or with the fault.
  void set(const spool::PolicyOverride& rule, std::function<void(spool::Stored<void>)> done);
  /// Answer: how many there were, 0 or 1. by: who wants it.
  void remove(const std::string& domain, const std::string& by,
              std::function<void(spool::Stored<std::size_t>)> done);

 private:
  void rebuild();
  void changed();
  void put(spool::PolicyOverride rule);
  void take(const std::string& domain, const std::string& by);
  void look_for_ends();
  bool end_override(spool::PolicyOverride& rule, net::WallTime now);
  void log_override(std::string action, const spool::PolicyOverride& rule, const std::string& by);

  net::EventLoop& loop_;
  const net::Clock& clock_;
  spool::Spool& spool_;
  Log& log_;
  conf::TlsPolicy policy_;
  conf::Preload preload_;
  std::vector<spool::PolicyOverride> overrides_;
  std::shared_ptr<const LocalRules> rules_;
  Publish publish_;
  /// Domains whose override is being written: what is on disk is not to be touched meanwhile.
  std::multiset<std::string> writing_;
  net::WallTime looked_at_;  ///< for ends
  net::Timer wake_;
  /// The spool's answers may outlive this.
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace relay::delivery
