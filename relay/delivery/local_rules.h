// What the operator says about the TLS of policy domains, found by name. A rule set by command
// comes before one of the configuration, the exact name before wildcards (the closest first), then
// the preloaded pins, then the default; a rule past its end is as if it were not there. Pure and
// immutable: shared between threads, replaced as a whole.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "conf/preload.h"
#include "conf/tls_rules.h"
#include "relay/net/clock.h"
#include "relay/net/domain_name.h"
#include "relay/spool/policy_override.h"
#include "sts/policy.h"

namespace relay::delivery {

using LocalLevel = conf::TlsLevel;

struct LocalRule {
  LocalLevel level = LocalLevel::opportunistic;
  std::vector<sts::MxPattern> mx;         ///< pin: only these hosts, verified; empty: any host
  std::vector<std::string> fingerprints;  ///< lower-case hex SHA-256 of certificate or key
  enum class Purpose { default_level, rule, pin, exemption } purpose = Purpose::default_level;
  std::optional<net::WallTime> until;  ///< from then on as if the rule were not there
  std::string reason;                  ///< the operator's words
  enum class Effect { enforced, report_only } effect = Effect::enforced;
  /// "tls_policy.default", "tls_policy.domains.example.com", "override" or "preload".
  std::string origin;
  /// Of a preloaded pin only: what counts in its place as soon as a policy of the domain itself is
  /// known (cached or fetched).
  std::shared_ptr<const LocalRule> after_first_contact;

  [[nodiscard]] bool over(net::WallTime now) const { return until && *until <= now; }
};

class LocalRules {
 public:
  struct Sources {
    const conf::TlsPolicy& policy;
    const conf::Preload& preload;
    const std::vector<spool::PolicyOverride>& overrides;
  };
  /// A rule with the domain or wildcard that it was given for.
  struct Listed {
    std::string domain;
    std::shared_ptr<const LocalRule> rule;
  };

  LocalRules();  ///< opportunistic for all
  /// What the sources hold was checked when it was read; std::invalid_argument otherwise.
  explicit LocalRules(const Sources& sources);

  /// The rule for a policy domain (A-labels, lower case); never null. Allocates nothing.
  [[nodiscard]] std::shared_ptr<const LocalRule> find(std::string_view policy_domain,
                                                      net::WallTime now) const;
  /// nullopt: no policy domain (a bare address), the default's.
  [[nodiscard]] std::shared_ptr<const LocalRule> find(
      const std::optional<net::DomainName>& policy_domain, net::WallTime now) const;

  [[nodiscard]] const LocalRule& default_rule() const { return *default_; }
  /// Rules by command and configuration, those past their end included; preloaded pins.
  [[nodiscard]] std::size_t size() const { return listed_.size(); }
  [[nodiscard]] std::size_t preloaded() const { return preload_.size(); }
  /// All but preloaded pins, those by command first, each by domain.
  [[nodiscard]] const std::vector<Listed>& listed() const { return listed_; }
  /// Exemptions that count now, and rules of single domains that are report-only: they waive what
  /// the domain publishes, too.
  [[nodiscard]] std::vector<Listed> exemptions(net::WallTime now) const;
  /// Rules whose end came after since and not after now.
  [[nodiscard]] std::vector<Listed> ended(net::WallTime since, net::WallTime now) const;
  /// When the next rule ends after now.
  [[nodiscard]] std::optional<net::WallTime> next_end(net::WallTime now) const;

 private:
  using Rule = std::shared_ptr<const LocalRule>;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  using ByName = std::unordered_map<std::string, Rule, Hash, std::equal_to<>>;
  /// Rules of one origin.
  struct Table {
    ByName exact, below;  ///< below: wildcards, by the name without "*."
    void add(const std::string& domain, const Rule& rule);
    [[nodiscard]] const Rule* given_for(std::string_view domain) const;
    /// null: none in force.
    [[nodiscard]] const Rule* find(std::string_view domain, net::WallTime now) const;
  };

  void add(Table& table, const std::string& domain, LocalRule rule);

  Rule default_;
  Table overrides_, configured_;
  ByName preload_;
  std::vector<Listed> listed_;
};

}  // namespace relay::delivery
