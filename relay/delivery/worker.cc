#include "relay/delivery/worker.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "relay/delivery/delivery_log.h"
#include "relay/delivery/policy_lookup.h"

namespace relay::delivery {
namespace {

constexpr std::size_t kTlsSessions = 10'000;
/// A group whose spool data could not be read is looked at again after this long.
constexpr std::chrono::minutes kReadRetry{5};

PolicyResolver::Options resolver_options(const WorkerSettings& settings,
                                         std::shared_ptr<FetchPlaces> fetch_places) {
  PolicyResolver::Options options;
  options.first_contact_wait = settings.sts.first_contact_wait;
  options.first_contact = first_contact(settings.sts);
  options.on_dns_failure = on_dns_failure(settings.sts);
  options.history = settings.sts.history;
  options.concurrent_fetches = std::max(1, settings.sts.concurrent_fetches / settings.workers);
  options.concurrent_fetches_per_host = settings.sts.concurrent_fetches_per_host;
  options.fetch_places = std::move(fetch_places);
  options.https_port = settings.https_port;
  options.private_addresses = settings.private_addresses;
  return options;
}

}  // namespace

Worker::Worker(Parts parts)
    : loop_(parts.loop),
      clock_(parts.clock),
      spool_(parts.spool),
      log_(parts.log),
      settings_(std::move(parts.settings)),
      reader_(std::move(parts.reader)),
      tls_sessions_(kTlsSessions),
      dns_(loop_, clock_, std::move(parts.dns)),
      https_(loop_, net::HttpsClientOptions{.ca_file = settings_->ca_file,
                                            .revocation = settings_->revocation}),
      policies_(loop_, clock_, dns_, https_, spool_, log_,
                resolver_options(*settings_, std::move(parts.fetch_places)),
                {std::move(parts.policies), std::move(parts.troubles)},
                std::max<std::size_t>(1, settings_->sts.cache_entries /
                                             static_cast<std::size_t>(settings_->workers))),
      report_records_(loop_, dns_, spool_),
      conversations_{loop_,         clock_,   std::move(parts.tls),
                     tls_sessions_, *reader_, conversation_count_},
      pool_(conversations_, pool_limits()),
      runners_{loop_, clock_, dns_, policies_, pool_, conversations_, log_, parts.trace},
      queue_(queue_limits()),
      wake_(loop_, [this] { pump(); }),
      random_(std::random_device{}()),
      refetch_(std::move(parts.refetch)),
      notifier_(clock_, spool_, *reader_, log_, std::move(parts.notice_limit)),
      settler_(loop_, spool_, log_, parts.settle_retry) {}

Worker::~Worker() {
  active_.clear();
}

void Worker::add(const std::shared_ptr<const spool::Envelope>& envelope,
                 const std::string& domain) {
  const net::WallTime now = clock_.wall();
  net::WallTime next_try = net::WallTime::max();
  for (const spool::Recipient& recipient : envelope->recipients) {
    if (recipient.domain == domain) {
      next_try = std::min(next_try, recipient.next_try);
    }
  }
  queue_.add(Group{envelope->id, domain, envelope}, destination_key(domain), next_try, now);
  pump();
}

void Worker::add_pending(spool::PendingGroup group) {
  const std::string key = destination_key(group.domain);
  queue_.add(Group{group.id, std::move(group.domain), nullptr}, key, group.next_try, clock_.wall());
}

void Worker::begin() {
  policies_.begin();
  for (const std::string& domain : std::exchange(refetch_, {})) {
    if (const auto name = net::DomainName::parse(domain)) {
      policies_.refresh(*name, [](const sts::PolicyVerdict& /*verdict*/) {});
    }
  }
  pump();
}

void Worker::retry_now(spool::MessageId id) {
  queue_.hasten(id, clock_.wall());
  pump();
}

void Worker::forget(spool::MessageId id) {
  queue_.forget(id);
}

void Worker::reconfigure(std::shared_ptr<const WorkerSettings> settings,
                         std::shared_ptr<net::TlsClientContext> tls) {
  settings_ = std::move(settings);
  conversations_.tls = std::move(tls);
  // Verdicts made with the old trust anchors; those still to be made have the old number.
  ++conversations_.generation;
  tls_sessions_.clear();
  https_.renew_trust(settings_->revocation);
  pool_.close_all();
  pool_.set_limits(pool_limits());
  queue_.set_limits(queue_limits());
  pump();
}

void Worker::set_rules(std::shared_ptr<const LocalRules> rules) {
  auto settings = std::make_shared<WorkerSettings>(*settings_);
  settings->rules = std::move(rules);
  settings_ = std::move(settings);
}

void Worker::drain(std::function<void()> done) {
  state_ = State::draining;
  drained_ = std::move(done);
  wake_.stop();
  settler_.drain();
  pump();
}

void Worker::publish() {
  gauges_.waiting = queue_.waiting();
  gauges_.ready = queue_.ready();
  gauges_.active = queue_.active();
  gauges_.idle_connections = pool_.size();
}

void Worker::pump() {
  if (state_ == State::draining) {
    if (active_.empty() && settling_ == 0 && drained_) {
      pool_.close_all();
      std::exchange(drained_, nullptr)();
    }
    return;
  }
  if (!may_start()) {
    return;
  }
  const net::WallTime now = clock_.wall();
  while (auto ready = queue_.next(now)) {
    start(std::move(*ready));
  }
  publish();
  if (const auto due = queue_.next_due()) {
    // Bounded, so that a step of the wall clock is noticed.
    wake_.start(std::clamp<std::chrono::milliseconds>(*due - now, std::chrono::milliseconds(1),
                                                      std::chrono::seconds(30)));
  }
}

/// What is delivered while no outcome can be recorded would be delivered again after a restart.
bool Worker::may_start() {
  if (!spool_.failed()) {
    return true;
  }
  if (std::exchange(spool_failure_, SpoolFailure::logged) == SpoolFailure::none) {
    log_.error("delivery-stopped",
               {{"detail", "the spool failed: nothing is delivered until a restart"}});
  }
  publish();
  return false;
}

void Worker::start(PendingQueue::Ready ready) {
  std::shared_ptr<const spool::Envelope> envelope = envelope_of(ready);
  if (envelope == nullptr) {
    return;
  }
  auto found = next_hop(settings_->routes, ready.group.domain, settings_->smtp_port);
  if (auto* hop = std::get_if<NextHop>(&found)) {
    attempt(envelope, std::move(ready), std::move(*hop));
    return;
  }
  AttemptEnd end;
  end.finished = end_for_all(*envelope, std::get<Undeliverable>(found));
  end.started_at = clock_.wall();
  settle(ready, *envelope, end);
}

std::shared_ptr<const spool::Envelope> Worker::envelope_of(const PendingQueue::Ready& ready) {
  const auto& fresh = ready.group.envelope;
  if (fresh != nullptr) {
    const auto of_domain = [&](const spool::Recipient& r) {
      return r.domain == ready.group.domain;
    };
    if (std::all_of(fresh->recipients.begin(), fresh->recipients.end(), of_domain)) {
      return fresh;
    }
    auto subset = std::make_shared<spool::Envelope>(*fresh);
    std::erase_if(subset->recipients,
                  [&](const spool::Recipient& recipient) { return !of_domain(recipient); });
    return subset;
  }
  auto loaded = reader_->envelope(ready.group.id, ready.group.domain);
  if (!loaded) {
    log_.error("spool-read-failed", {{"id", ready.group.id.text()},
                                     {"domain", ready.group.domain},
                                     {"detail", loaded.error().reason}});
    queue_.finished(ready.destination, WindowFeedback::none);
    queue_.add(ready.group, ready.destination, clock_.wall() + kReadRetry, clock_.wall());
    return nullptr;
  }
  if (!*loaded) {
    queue_.finished(ready.destination, WindowFeedback::none);  // Removed by the operator.
    return nullptr;
  }
  return std::make_shared<const spool::Envelope>(std::move(**loaded));
}

void Worker::attempt(const std::shared_ptr<const spool::Envelope>& envelope,
                     PendingQueue::Ready ready, NextHop next_hop) {
  const std::uint64_t key = next_key_++;
  AttemptSettings settings = attempt_settings(next_hop);
  auto runner =
      std::make_unique<Runner>(runners_, std::move(settings), std::move(next_hop), envelope,
                               client_settings(), settings_->delivery.timeouts.attempt,
                               [this, key](const AttemptEnd& end) { attempt_over(key, end); });
  Runner& started = *runner;
  active_.emplace(key, Active{std::move(ready), envelope, std::move(runner)});
  started.start();
}

void Worker::attempt_over(std::uint64_t key, const AttemptEnd& end) {
  const auto found = active_.find(key);
  Active over = std::move(found->second);
  active_.erase(found);
  gauges_.would_refuse += end.finished.would_refuse.size();
  for (const std::string& domain : end.finished.would_refuse) {
    gauges_.would_refuse_domains.count(domain);
  }
  for (const rpt::SessionResult& session : end.finished.sessions) {
    gauges_.tls.count(session);
  }
  gauges_.attempts.count(clock_.wall() - end.started_at);
  settle(over.ready, *over.envelope, end);
  pump();
}

void Worker::settle(const PendingQueue::Ready& ready, const spool::Envelope& envelope,
                    const AttemptEnd& end) {
  const double jitter = settings_->queue.jitter_percent / 100.0 *
                        std::uniform_real_distribution<double>(-1, 1)(random_);
  const conf::Queue& queue = settings_->queue;
  SettledAttempt settled_attempt = delivery::settle(
      envelope, end.finished, RetryRules{queue.retry, jitter, queue.warn_after}, clock_.wall());
  for (const Fate& fate : settled_attempt.fates) {
    log_.info("delivery", delivery_fields(envelope, fate, end, clock_.wall()));
    count(fate);
    if (fate.kind == Fate::Kind::delivered) {
      gauges_.delays.count(clock_.wall() - envelope.received_at);
    }
  }
  notifier_.add(envelope, settled_attempt,
                {settings_->hostname, queue.lifetime, queue.warn_after, settings_->notices});
  if (settings_->reports == WorkerSettings::Reports::sent) {
    report_records_.counted(settled_attempt.settlement.sessions);
  }
  ++settling_;
  settler_.settle(
      std::move(settled_attempt.settlement),
      [this, ready, feedback = end.feedback, next_try = earliest_retry(settled_attempt.fates)](
          const spool::Stored<void>& result) { settled(ready, feedback, next_try, result); });
}

void Worker::settled(const PendingQueue::Ready& ready, WindowFeedback feedback,
                     std::optional<net::WallTime> next_try, const spool::Stored<void>& result) {
  --settling_;
  queue_.finished(ready.destination, feedback);
  const net::WallTime now = clock_.wall();
  Group group{ready.group.id, ready.group.domain, nullptr};
  if (!result) {
    // What was delivered will be delivered again after a restart: better than lost (RFC 1047). Not
    // before, because nothing says that its outcome could then be recorded.
    log_.error(
        "settle-failed",
        {{"id", group.id.text()}, {"domain", group.domain}, {"detail", result.error().reason}});
  } else if (next_try) {
    queue_.add(std::move(group), ready.destination, *next_try, now);
  } else {
    log_removed(group.id);
  }
  pump();
}

/// Those who read Postfix's log wait for this line.
void Worker::log_removed(spool::MessageId id) {
  if (!log_.is_postfix()) {
    return;
  }
  const auto rest = reader_->envelope(id, "");
  if (rest && !*rest) {
    log_.info("removed", {{"id", id.text()}});
  }
}

void Worker::count(const Fate& fate) {
  switch (fate.kind) {
    case Fate::Kind::delivered:
      ++gauges_.delivered;
      return;
    case Fate::Kind::deferred:
      ++gauges_.deferred;
      return;
    case Fate::Kind::failed:
    case Fate::Kind::expired:
      ++gauges_.failed;
      return;
  }
}

AttemptSettings Worker::attempt_settings(const NextHop& next_hop) {
  const conf::Delivery& delivery = settings_->delivery;
  AttemptSettings settings;
  settings.own_name = settings_->hostname;
  settings.own_addresses = settings_->own_addresses;
  settings.hosts = static_cast<std::size_t>(delivery.hosts_per_attempt);
  settings.addresses_per_host = static_cast<std::size_t>(delivery.addresses_per_host);
  settings.sessions = static_cast<std::size_t>(delivery.sessions_per_attempt);
  settings.private_addresses = settings_->private_addresses;
  settings.ipv6 = delivery.ipv6 ? UseIpv6::yes : UseIpv6::no;
  settings.rule = settings_->rules->find(next_hop.policy_domain(), clock_.wall());
  settings.composition = settings_->composition;
  settings.tlsa_port = tlsa_port(next_hop, settings_->smtp_port);
  settings.shuffle = [this](std::span<MxHost> hosts) {
    std::shuffle(hosts.begin(), hosts.end(), random_);
  };
  return settings;
}

smtp::ClientSettings Worker::client_settings() const {
  const conf::Timeouts& t = settings_->delivery.timeouts;
  smtp::ClientSettings settings;
  settings.helo_name = settings_->hostname;
  settings.timeouts = {t.connect, t.greeting, t.ehlo, t.starttls,  t.mail,
                       t.rcpt,    t.data,     t.body, t.final_dot, t.rset};
  settings.force_8bit = settings_->delivery.force_8bit;
  return settings;
}

std::string Worker::destination_key(const std::string& domain) const {
  auto found = next_hop(settings_->routes, domain, settings_->smtp_port);
  const auto* hop = std::get_if<NextHop>(&found);
  return hop != nullptr ? hop->key() : domain;
}

PoolLimits Worker::pool_limits() const {
  const conf::Delivery& delivery = settings_->delivery;
  const QueueLimits limits = queue_limits();
  return {delivery.connection_idle, delivery.connection_age, delivery.messages_per_connection,
          static_cast<std::size_t>(limits.total), static_cast<std::size_t>(limits.per_destination)};
}

QueueLimits Worker::queue_limits() const {
  return {settings_->delivery.connections_per_destination,
          std::max(1, settings_->delivery.connections / settings_->workers)};
}

}  // namespace relay::delivery
