// Gathers what `stsrelay check` says about one domain: DNS, the policy, then every MX host, all at
// once and within one deadline. Belongs to one event loop.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/cli/check_examination.h"
#include "relay/cli/check_probe.h"
#include "relay/delivery/worker.h"
#include "relay/net/clock.h"
#include "relay/net/dns_client.h"
#include "relay/net/event_loop.h"
#include "relay/net/https_client.h"
#include "relay/net/operation.h"
#include "relay/net/tls_client.h"

namespace relay::cli {

struct SurveySettings {
  /// With a policy domain.
  delivery::NextHop next_hop{delivery::MxLookup{*net::DomainName::parse("invalid")}, 25, {}};
  std::optional<net::DomainName> only_host;  ///< look at this MX host alone
  std::string own_name;                      ///< MX host that mail must not go to; may be empty
  std::string recipient_domain;
  std::shared_ptr<const delivery::LocalRule> rule;  ///< for the policy domain; null: the default
  delivery::Composition composition = delivery::Composition::dane_decides;
  PolicyExamination policy;                         ///< source file: judge by it, do not fetch
  std::shared_ptr<const sts::CachedPolicy> cached;  ///< in a daemon's cache, in force; null: none
  Examination::Connecting connecting = Examination::Connecting::yes;
  std::chrono::milliseconds time{std::chrono::seconds(60)};  ///< for everything
  net::DnsClientOptions dns;
  std::shared_ptr<const delivery::WorkerSettings> worker;
  std::shared_ptr<net::TlsClientContext> tls;
};

class Survey {
 public:
  /// progress: gets a few words about what is going on now and then.
  Survey(net::EventLoop& loop, const net::Clock& clock, SurveySettings settings,
         std::function<void(const std::string&)> progress, std::function<void()> done);
  ~Survey() = default;
  Survey(const Survey&) = delete;
  Survey& operator=(const Survey&) = delete;

  /// done runs once, from the loop.
  void start();
  /// What has been found.
  [[nodiscard]] Examination& examination() { return found_; }

 private:
  using Then = std::function<void(const net::DnsResult&)>;

  void ask(const std::string& name, net::DnsType type, Then then);
  void ask_text(const std::string& name, TextRecords& records,
                const std::function<void(const net::DnsResult&)>& then);
  void step_over();
  void on_mx(const net::DnsResult& answer);
  void use_hosts(std::vector<delivery::MxHost> hosts);
  void look_up(std::size_t host);
  void on_addresses(std::size_t host);
  void on_tlsa_step(std::size_t host, delivery::TlsaStep step);
  void on_policy_step(const sts::DiscoveryStep& step);
  void fetch(const std::string& policy_host);
  void get_policy(const net::DomainName& policy_host);
  void fetched(const sts::FetchResult& result);
  void decide();
  void start_probes();
  void probed(std::size_t host, std::size_t session, HostSession result);
  void finish();
  [[nodiscard]] delivery::TlsInputs inputs() const;
  [[nodiscard]] smtp::ClientSettings client_settings(const HostExamination& host) const;

  /// What is under way for one host.
  struct HostLookup {
    std::optional<net::DnsResult> a, aaaa;
    std::optional<delivery::TlsaSearch> tlsa;
  };
  struct Wanted {
    std::size_t host, session;
  };

  net::EventLoop& loop_;
  const net::Clock& clock_;
  SurveySettings settings_;
  std::function<void(const std::string&)> progress_;
  std::function<void()> done_;
  net::DnsClient dns_;
  net::HttpsClient https_;
  sts::Discovery discovery_;
  bool policy_known_ = false;  ///< what there is of it has been said
  Examination found_;
  std::vector<HostLookup> lookups_;
  std::optional<net::DnsResult> policy_a_, policy_aaaa_;
  std::vector<net::Operation> operations_;
  std::vector<std::unique_ptr<Probe>> probes_;
  std::deque<Wanted> waiting_;
  std::size_t open_ = 0;  ///< steps under way
  enum class Phase { lookups, probes, over } phase_ = Phase::lookups;
  net::Timer deadline_;
};

}  // namespace relay::cli
