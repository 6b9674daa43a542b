#include "relay/delivery/worker.h"

#include <algorithm>
#include <iterator>
#include <unordered_set>
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
      tokens_(clock_, dns_, https_),
      signer_(*reader_, clock_, settings_->signing_keys),
      report_records_(loop_, dns_, spool_),
      conversations_{loop_,         clock_,   std::move(parts.tls),
                     tls_sessions_, *reader_, conversation_count_},
      pool_(conversations_, pool_limits()),
      runners_{loop_,      clock_,          dns_,    policies_,
               pool_,      conversations_,  log_,    tokens_,
               upstreams_, dead_addresses_, signer_, settings_->delivery.host_retry,
               parts.trace},
      queue_(queue_limits()),
      wake_(loop_, [this] { pump(); }),
      random_(std::random_device{}()),
      refetch_(std::move(parts.refetch)),
      notifier_(clock_, spool_, *reader_, log_, std::move(parts.notice_limit)),
      settler_(loop_, spool_, log_, parts.settle_retry) {
  queue_.set_pauses(std::move(parts.pauses));
}

Worker::~Worker() {
  active_.clear();
}

void Worker::add(const std::shared_ptr<const spool::Envelope>& envelope,
                 const std::string& domain) {
  net::WallTime next_try = net::WallTime::max();
  for (const spool::Recipient& recipient : envelope->recipients) {
    if (recipient.domain == domain) {
      next_try = std::min(next_try, recipient.next_try);
    }
  }
  enqueue(group_of(envelope, domain), path_of(*envelope, domain), next_try);
  pump();
}

void Worker::add_pending(const spool::PendingGroup& group) {
  enqueue(group_of(group), path_of(group), group.next_try);
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

std::vector<GroupKey> Worker::replace(const std::vector<spool::MessageId>& ids,
                                      const std::vector<spool::PendingGroup>& groups) {
  const std::unordered_set<spool::MessageId> known(ids.begin(), ids.end());
  const net::WallTime now = clock_.wall();
  if (std::ranges::any_of(groups, [now](const auto& group) { return group.next_try <= now; })) {
    dead_addresses_.forget_all();
  }
  queue_.forget([&](const Group& group) { return known.contains(group.id); });
  for (const spool::PendingGroup& group : groups) {
    if (!busy_.contains({group.id, group.domain})) {
      add_pending(group);
    }
  }
  auto tried = busy(ids);
  pump();
  return tried;
}

std::vector<GroupKey> Worker::busy(const std::vector<spool::MessageId>& ids) const {
  const std::unordered_set<spool::MessageId> known(ids.begin(), ids.end());
  std::vector<GroupKey> found;
  std::ranges::copy_if(busy_, std::back_inserter(found),
                       [&](const GroupKey& key) { return known.contains(key.first); });
  return found;
}

void Worker::set_pauses(std::shared_ptr<const Pauses> pauses) {
  queue_.set_pauses(std::move(pauses));
  pump();
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
  runners_.host_retry = settings_->delivery.host_retry;
  dead_addresses_.forget_all();
  signer_.set_keys(settings_->signing_keys);
  tokens_.forget_all();
  for (const std::string& destination : upstreams_.release_all()) {
    queue_.hasten_destination(destination, clock_.wall());
  }
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
  gauges_.resting = queue_.resting();
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
  if (over_rate(ready)) {
    return;
  }
  std::shared_ptr<const spool::Envelope> envelope = envelope_of(ready);
  if (envelope == nullptr) {
    return;
  }
  busy_.emplace(ready.group.id, ready.group.domain);
  if (auto end = staged_attempt(*envelope)) {
    settle(ready, *envelope, std::move(*end));
    return;
  }
  charge_rate(ready, envelope->recipients.size());
  const MailPath path = path_of(*envelope, ready.group.domain);
  auto found = next_hops(settings_->routes, path, settings_->smtp_port);
  if (auto* hops = std::get_if<std::vector<NextHop>>(&found)) {
    std::vector<Way> ways_there = ways(std::move(*hops), path.domain);
    attempt(envelope, std::move(ready), std::move(ways_there));
    return;
  }
  AttemptEnd end;
  end.finished = end_for_all(*envelope, std::get<Undeliverable>(found));
  end.started_at = clock_.wall();
  settle(ready, *envelope, std::move(end));
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
    queue_.finished(ready, WindowFeedback::none);
    queue_.add(ready.group, ready.destination, clock_.wall() + kReadRetry, clock_.wall());
    return nullptr;
  }
  if (!*loaded || (*loaded)->recipients.empty() || !(*loaded)->held.empty()) {
    queue_.finished(ready, WindowFeedback::none);  // The operator was faster.
    return nullptr;
  }
  return std::make_shared<const spool::Envelope>(std::move(**loaded));
}

void Worker::attempt(const std::shared_ptr<const spool::Envelope>& envelope,
                     PendingQueue::Ready ready, std::vector<Way> ways_there) {
  const std::uint64_t key = next_key_++;
  auto runner = std::make_unique<Runner>(
      runners_, std::move(ways_there), envelope, settings_->delivery.timeouts.attempt,
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
  pause(over.ready.destination, end.finished.pause);
  settle(over.ready, *over.envelope, end);
  pump();
}

void Worker::settle(const PendingQueue::Ready& ready, const spool::Envelope& envelope,
                    AttemptEnd end) {
  stage_outcomes(envelope, end.finished);
  const double jitter = settings_->queue.jitter_percent / 100.0 *
                        std::uniform_real_distribution<double>(-1, 1)(random_);
  const conf::Queue& queue = settings_->queue;
  SettledAttempt settled_attempt =
      delivery::settle(envelope, end.finished,
                       RetryRules::of(queue, envelope, ready.group.domain, jitter), clock_.wall());
  for (const Fate& fate : settled_attempt.fates) {
    log_.info("delivery", delivery_fields(envelope, fate, end, clock_.wall()));
    count(fate);
    if (fate.kind == Fate::Kind::delivered && fate.outcome->staged == Staged::no) {
      gauges_.delays.count(clock_.wall() - envelope.received_at);
    }
  }
  notifier_.add(envelope, settled_attempt,
                {settings_->hostname, queue, settings_->notices, postmaster()});
  if (staging() != nullptr) {
    place_notices(settled_attempt.settlement);
  }
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
  queue_.finished(ready, feedback);
  const net::WallTime now = clock_.wall();
  Group group = ready.group;
  group.envelope.reset();
  if (!result) {
    // What was delivered will be delivered again after a restart: better than lost (RFC 1047). Not
    // before, because nothing says that its outcome could then be recorded.
    log_.error(
        "settle-failed",
        {{"id", group.id.text()}, {"domain", group.domain}, {"detail", result.error().reason}});
    pump();
    return;
  }
  busy_.erase({group.id, group.domain});
  if (next_try) {
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
  if (fate.outcome->staged != Staged::no) {
    gauges_.staged.count(fate.outcome->staged);
    return;
  }
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

}  // namespace relay::delivery
