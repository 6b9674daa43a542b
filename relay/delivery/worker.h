// The delivery side of one worker loop: the recipient domains hashed to it, its DNS and HTTPS
// clients, policy cache, connections and attempts. Everything runs on the worker's loop.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "conf/config.h"
#include "relay/delivery/credentials.h"
#include "relay/delivery/local_rules.h"
#include "relay/delivery/notifier.h"
#include "relay/delivery/pauses.h"
#include "relay/delivery/pending_queue.h"
#include "relay/delivery/rate_limits.h"
#include "relay/delivery/report_records.h"
#include "relay/delivery/runner.h"
#include "relay/delivery/settlement.h"
#include "relay/delivery/settler.h"
#include "relay/delivery/staged.h"
#include "relay/delivery/tls_counts.h"
#include "relay/delivery/would_refuse.h"
#include "relay/log.h"
#include "relay/net/dns_client.h"
#include "relay/net/event_loop.h"
#include "relay/net/https_client.h"
#include "relay/net/revocation.h"
#include "relay/spool/spool.h"
#include "relay/spool/spool_reader.h"

namespace relay::delivery {

/// What delivery needs of the configuration; immutable, replaced as a whole on reload.
struct WorkerSettings {
  std::string hostname;
  std::vector<net::SocketAddress> own_addresses;  ///< where this relay listens
  std::vector<conf::Route> routes;
  std::shared_ptr<const CredentialTable> credentials = std::make_shared<const CredentialTable>();
  std::shared_ptr<const SigningKeys> signing_keys = std::make_shared<const SigningKeys>();
  conf::Delivery delivery;
  conf::Queue queue;
  conf::Notices notices{};
  conf::Sts sts;
  std::shared_ptr<const LocalRules> rules = std::make_shared<const LocalRules>();
  Composition composition = Composition::dane_decides;
  int workers = 1;  ///< totals of `delivery` are shared by so many
  std::uint16_t smtp_port = 25;
  std::uint16_t https_port = 443;
  std::string ca_file;
  net::Revocation revocation = net::Revocation::stapled;
  PrivateAddresses private_addresses = PrivateAddresses::refused;
  enum class Reports { off, sent } reports = Reports::off;
  std::optional<conf::Staging> staging;
};

/// Readable from any thread.
struct WorkerGauges {
  std::atomic<std::size_t> waiting{0}, ready{0}, active{0}, resting{0}, idle_connections{0};
  std::atomic<std::uint64_t> delivered{0}, deferred{0}, failed{0};
  StagedCounts staged;  ///< recipients that are not among the three above
  /// Sessions and hosts that report-only rules let pass, in total and by policy domain.
  std::atomic<std::uint64_t> would_refuse{0};
  WouldRefuse would_refuse_domains;
  TlsCounts tls;
  net::DurationCounts attempts{net::kMailDurations};  ///< of one message at one domain
  /// Of recipients, from acceptance to delivery.
  net::DurationCounts delays{net::kMailDurations};
};

class Worker {
 public:
  /// What it is made of; references outlive it.
  struct Parts {
    net::EventLoop& loop;
    const net::Clock& clock;
    spool::Spool& spool;
    Log& log;
    std::unique_ptr<spool::SpoolReader> reader;
    net::DnsClientOptions dns;
    std::shared_ptr<net::TlsClientContext> tls;
    std::shared_ptr<const WorkerSettings> settings;
    PolicyResolver::Policies policies;             ///< stored policies of this worker's domains
    std::vector<std::string> refetch;              ///< domains whose stored policy was damaged
    std::chrono::milliseconds settle_retry{5000};  ///< Settler's first wait
    std::vector<spool::PolicyTrouble> troubles{};  ///< stored, of this worker's domains
    std::shared_ptr<FetchPlaces> fetch_places{};   ///< of all workers; null: its own
    std::shared_ptr<const Pauses> pauses = std::make_shared<const Pauses>();
    std::shared_ptr<NoticeLimit> notice_limit{};  ///< of all workers; null: its own
    DialogueTrace* trace = nullptr;               ///< of all workers, outlives them; null: none
  };
  explicit Worker(Parts parts);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  /// Takes charge of the recipients of one domain of a stored message.
  void add(const std::shared_ptr<const spool::Envelope>& envelope, const std::string& domain);
  /// Groups read back at start; begin() then starts them.
  void add_pending(const spool::PendingGroup& group);
  void begin();
  /// What the spool now says of messages takes the place of what was known of them: groups are the
  /// pending ones of those that are not held. Answer: which of their recipients' domains are being
  /// tried; those attempts go on, and what they leave is taken up again from the spool. What is due
  /// now is really tried, even at hosts that were dead a moment ago.
  std::vector<GroupKey> replace(const std::vector<spool::MessageId>& ids,
                                const std::vector<spool::PendingGroup>& groups);
  /// Those domains alone.
  [[nodiscard]] std::vector<GroupKey> busy(const std::vector<spool::MessageId>& ids) const;
  void set_pauses(std::shared_ptr<const Pauses> pauses);
  void reconfigure(std::shared_ptr<const WorkerSettings> settings,
                   std::shared_ptr<net::TlsClientContext> tls);
  /// The operator's rules for attempts that begin from now on.
  void set_rules(std::shared_ptr<const LocalRules> rules);
  /// Starts nothing new; done runs when the last attempt was settled.
  void drain(std::function<void()> done);
  /// Whether secure DNS answers are to be had; done gets "secure" or "not-secure: " and why.
  void probe_dnssec(std::function<void(std::string)> done) {
    dnssec_probe_ = dns_.probe_dnssec(std::move(done));
  }
  [[nodiscard]] const WorkerGauges& gauges() const { return gauges_; }
  [[nodiscard]] const NoticeCounts& notice_counts() const { return notifier_.counts(); }

  /// Fetches a domain's policy now; done gets what came of it.
  void refresh_policy(const net::DomainName& domain, PolicyResolver::Callback done) {
    policies_.refresh(domain, std::move(done));
  }
  [[nodiscard]] PolicyState policy_state(const std::string& domain) const {
    return policies_.state(domain);
  }
  /// From any thread: who refuses our credentials.
  [[nodiscard]] const UpstreamStates& upstreams() const { return upstreams_; }
  [[nodiscard]] const PolicyGauges& policy_gauges() const { return policies_.gauges(); }

 private:
  void pump();
  [[nodiscard]] bool may_start();
  void publish();
  void start(PendingQueue::Ready ready);
  /// A destination is left alone for a while, as it asked for.
  void pause(const std::string& destination, std::chrono::milliseconds wait);
  /// Puts it back if its destination has a pause or has had its fill for now.
  [[nodiscard]] bool over_rate(const PendingQueue::Ready& ready);
  void charge_rate(const PendingQueue::Ready& ready, std::size_t recipients);
  /// The rate that holds for a group, and whose it is.
  [[nodiscard]] std::optional<std::pair<std::string, conf::Rate>> rate_of(
      const PendingQueue::Ready& ready) const;
  void attempt(const std::shared_ptr<const spool::Envelope>& envelope, PendingQueue::Ready ready,
               std::vector<Way> ways_there);
  void attempt_over(std::uint64_t key, const AttemptEnd& end);
  void settle(const PendingQueue::Ready& ready, const spool::Envelope& envelope, AttemptEnd end);
  // worker_staging.cc: what a relay in staging does instead.
  [[nodiscard]] const conf::Staging* staging() const;
  [[nodiscard]] std::optional<AttemptEnd> staged_attempt(const spool::Envelope& envelope);
  void capture(const spool::Envelope& envelope, Finished& finished);
  void stage_outcomes(const spool::Envelope& envelope, Finished& finished) const;
  void place_notices(spool::Settlement& settlement) const;
  /// Who gets double bounces: where they end if they cannot be delivered either.
  [[nodiscard]] std::string postmaster() const;
  void settled(const PendingQueue::Ready& ready, WindowFeedback feedback,
               std::optional<net::WallTime> next_try, const spool::Stored<void>& result);
  void log_removed(spool::MessageId id);
  void count(const Fate& fate);
  std::shared_ptr<const spool::Envelope> envelope_of(const PendingQueue::Ready& ready);
  // worker_ways.cc
  [[nodiscard]] std::vector<Way> ways(std::vector<NextHop> hops, const std::string& domain);
  [[nodiscard]] AttemptSettings attempt_settings(const NextHop& next_hop,
                                                 const std::string& domain);
  [[nodiscard]] Families families(const conf::Delivery& delivery, const std::string& domain);
  [[nodiscard]] smtp::ClientSettings client_settings(const NextHop& next_hop) const;
  [[nodiscard]] std::string destination_key(const MailPath& path) const;
  void enqueue(Group group, const MailPath& path, net::WallTime next_try);
  [[nodiscard]] QueueLimits queue_limits() const;
  [[nodiscard]] PoolLimits pool_limits() const;

  struct Active {
    PendingQueue::Ready ready;
    std::shared_ptr<const spool::Envelope> envelope;
    std::unique_ptr<Runner> runner;
  };

  net::EventLoop& loop_;
  const net::Clock& clock_;
  spool::Spool& spool_;
  Log& log_;
  std::shared_ptr<const WorkerSettings> settings_;
  std::unique_ptr<spool::SpoolReader> reader_;
  net::TlsSessionCache tls_sessions_;
  net::DnsClient dns_;
  net::Operation dnssec_probe_;
  net::HttpsClient https_;
  PolicyResolver policies_;
  TokenSource tokens_;
  UpstreamStates upstreams_;
  DeadAddresses dead_addresses_;
  MessageSigner signer_;
  RateLimits rates_;
  ReportRecords report_records_;
  ConversationCount conversation_count_;
  ConversationContext conversations_;
  ConnectionPool pool_;
  RunnerContext runners_;
  PendingQueue queue_;
  net::Timer wake_;
  std::mt19937 random_;
  std::vector<std::string> refetch_;
  std::unordered_map<std::uint64_t, Active> active_;
  /// Groups from the start of an attempt until its outcome is stored.
  std::set<GroupKey> busy_;
  std::uint64_t next_key_ = 0;
  Notifier notifier_;
  Settler settler_;
  std::size_t settling_ = 0;
  enum class SpoolFailure { none, logged } spool_failure_ = SpoolFailure::none;
  enum class State { running, draining } state_ = State::running;
  std::function<void()> drained_;
  WorkerGauges gauges_;
};

}  // namespace relay::delivery
