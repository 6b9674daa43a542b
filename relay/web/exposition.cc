#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include "relay/control/version.h"
#include "relay/delivery/policy_lookup.h"
#include "relay/web/endpoint.h"

namespace relay::web {
namespace {

using Labels = std::vector<prometheus::ClientMetric::Label>;

/// Gathers the metrics; each name begins with "stsrelay_".
class Exposition {
 public:
  struct Sample {
    Labels labels;
    double value;
  };

  template <class Number>
  void gauge(const char* name, const char* help, Number value) {
    add(name, help, prometheus::MetricType::Gauge, {{{}, static_cast<double>(value)}});
  }
  void gauges(const char* name, const char* help, const std::vector<Sample>& samples) {
    add(name, help, prometheus::MetricType::Gauge, samples);
  }
  void counter(const char* name, const char* help, std::uint64_t value) {
    add(name, help, prometheus::MetricType::Counter, {{{}, static_cast<double>(value)}});
  }
  void counters(const char* name, const char* help, const std::vector<Sample>& samples) {
    add(name, help, prometheus::MetricType::Counter, samples);
  }
  void histogram(const char* name, const char* help, const net::DurationTotals& totals) {
    prometheus::ClientMetric metric;
    std::uint64_t count = 0;
    for (std::size_t i = 0; i < totals.counts.size(); ++i) {
      count += totals.counts.at(i);
      const bool bounded = i < totals.bounds.size();
      metric.histogram.bucket.push_back(
          {count, bounded ? totals.bounds[i] : std::numeric_limits<double>::infinity()});
    }
    metric.histogram.sample_count = count;
    metric.histogram.sample_sum = totals.seconds;
    families_.push_back({std::string("stsrelay_") + name,
                         help,
                         prometheus::MetricType::Histogram,
                         {std::move(metric)}});
  }
  [[nodiscard]] std::string text() const {
    return prometheus::TextSerializer().Serialize(families_);
  }

 private:
  void add(const char* name, const char* help, prometheus::MetricType type,
           const std::vector<Sample>& samples) {
    prometheus::MetricFamily family{std::string("stsrelay_") + name, help, type, {}};
    for (const Sample& sample : samples) {
      prometheus::ClientMetric metric;
      metric.label = sample.labels;
      metric.gauge.value = sample.value;
      metric.counter.value = sample.value;
      family.metric.push_back(std::move(metric));
    }
    families_.push_back(std::move(family));
  }

  std::vector<prometheus::MetricFamily> families_;
};

using Sample = Exposition::Sample;

double seconds(net::WallTime time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
}

/// One sample per number, labelled with a word each.
std::vector<Sample> by(const char* label,
                       std::initializer_list<std::pair<const char*, std::uint64_t>> numbers) {
  std::vector<Sample> samples;
  for (const auto& [word, number] : numbers) {
    samples.push_back({{{label, word}}, static_cast<double>(number)});
  }
  return samples;
}

void add_daemon(Exposition& out, const control::StatusFacts& facts) {
  out.gauges("build_info", "Always 1; the label says which version runs.",
             {{{{"version", std::string(control::kVersion)}}, 1}});
  out.gauge("start_time_seconds", "When the daemon started, in Unix time.",
            seconds(facts.started_at));
  out.gauge("ready", "1 if mail is taken now, 0 if not; /ready says why.",
            facts.obstacle.empty() ? 1 : 0);
  out.gauge("test_world", "1 if the configuration has a test_world: no real mail here.",
            facts.test_world ? 1 : 0);
  out.gauge("staging", "1 if the configuration has a section staging: not for real mail.",
            facts.staging_modes.empty() ? 0 : 1);
  out.gauge("dnssec_secure", "1 if secure DNS answers are to be had, as DANE needs them.",
            facts.dnssec_state == "secure" ? 1 : 0);
  out.gauge("workers", "Threads that receive and deliver.", facts.workers);
  out.gauges("open_connections", "Connections now.",
             by("direction", {{"inbound", facts.inbound_connections},
                              {"outbound", facts.outbound_connections}}));
}

/// Listeners that nobody came to yet are there, too.
void add_connections(Exposition& out, const control::StatusFacts& facts) {
  auto by_listener = facts.clients;
  for (const std::string& listener : facts.listeners) {
    by_listener[listener];
  }
  std::vector<Sample> samples;
  for (const auto& [listener, served] : by_listener) {
    for (Sample& sample : by("result", {{"accepted", served.accepted},
                                        {"refused_total", served.refused_total},
                                        {"refused_client", served.refused_client}})) {
      sample.labels.insert(sample.labels.begin(), {"listener", listener});
      samples.push_back(std::move(sample));
    }
  }
  out.counters("inbound_connections_total",
               "Connections of clients, and those turned away, by listener.", samples);
}

void add_reception(Exposition& out, const control::StatusFacts& facts) {
  out.counter("messages_accepted_total", "Messages taken from clients.", facts.accepted);
  std::vector<Sample> rejected;
  for (const auto& [stage, count] : facts.rejected) {
    rejected.push_back({{{"stage", stage}}, static_cast<double>(count)});
  }
  out.counters("rejections_total", "What clients were refused, by SMTP command.", rejected);
  out.gauge("clients_held", "Clients whose mail is taken and held until an operator releases them.",
            facts.held_clients.size());
  out.counters("client_limits_total",
               "Messages held, messages refused and connections turned away, by their client's "
               "limits or hold.",
               by("result", {{"held", facts.client_limits.messages_held},
                             {"refused", facts.client_limits.messages_refused},
                             {"turned_away", facts.client_limits.connections_refused}}));
  out.counter("auth_failures_total", "Logins of clients that failed.", facts.auth_failures);
}

void add_queue(Exposition& out, const spool::SpoolReader::Totals& queue, net::WallTime now) {
  out.gauges("queue_messages", "Messages in the queue; held ones are not tried.",
             by("state", {{"queued", queue.messages - queue.held}, {"held", queue.held}}));
  out.gauge("queue_recipients", "Recipients that wait, of all messages.", queue.recipients);
  out.gauge("queue_bytes", "Octets of the messages in the queue.", queue.octets);
  out.gauge("queue_oldest_seconds", "Age of the oldest message; 0 if there is none.",
            queue.oldest ? std::chrono::duration<double>(now - *queue.oldest).count() : 0.0);
}

void add_deliveries(Exposition& out, const control::StatusFacts& facts) {
  out.gauges("queue_deliveries", "Deliveries (one message at one domain) by state.",
             by("state", {{"waiting", facts.deliveries_waiting},
                          {"ready", facts.deliveries_ready},
                          {"resting", facts.deliveries_resting},
                          {"active", facts.deliveries_in_flight}}));
  out.counters(
      "deliveries_total", "Recipients of attempts, by what became of them.",
      by("result",
         {{"delivered", facts.delivered}, {"deferred", facts.deferred}, {"failed", facts.failed}}));
  std::vector<Sample> staged;
  for (std::size_t i = 1; i < facts.staged.size(); ++i) {
    staged.push_back({{{"result", std::string(delivery::name(static_cast<delivery::Staged>(i)))}},
                      static_cast<double>(facts.staged.at(i))});
  }
  out.counters("staged_recipients_total",
               "Recipients of a relay in staging, by what it did instead of delivering.", staged);
  out.histogram("attempt_seconds", "How long attempts took, of one message at one domain each.",
                facts.attempts);
  out.histogram("message_delay_seconds", "From acceptance to delivery, of each recipient.",
                facts.delays);
  out.counter("upstream_auth_failures_total", "Sessions in which an upstream refused credentials.",
              facts.upstream_auth_failures);
  out.gauge("upstreams_held", "Upstreams that refuse our credentials; mail through them waits.",
            facts.held_upstreams.size());
  out.counter("would_refuse_total", "Sessions and hosts that only report-only rules let pass.",
              facts.would_refuse);
}

void add_notices(Exposition& out, const delivery::NoticeTotals& notices) {
  out.counters("notices_total", "Status notices made, by what they tell.",
               by("kind", {{"failed", notices.failed},
                           {"delayed", notices.delayed},
                           {"relayed", notices.relayed},
                           {"double-bounce", notices.double_bounces}}));
  out.counters("notices_dropped_total",
               "Failures that nobody was told of, and notices over notices.per_hour.",
               by("reason", {{"unwanted", notices.dropped_unwanted},
                             {"null-sender", notices.dropped_null_sender},
                             {"too-many", notices.dropped_too_many}}));
}

void add_events(Exposition& out, const control::StatusFacts& facts) {
  out.counters("events_total", "Events for programs, by what became of them.",
               by("result", {{"sent", facts.events_sent}, {"lost", facts.events_lost}}));
  out.gauge("events_waiting", "Events that wait in memory to be handed over.",
            facts.events_waiting);
}

void add_tls(Exposition& out, const delivery::TlsTotals& tls) {
  std::vector<Sample> sessions;
  for (std::size_t i = 0; i < tls.succeeded.size(); ++i) {
    const std::string policy(rpt::wire_name(static_cast<rpt::PolicyType>(i)));
    sessions.push_back(
        {{{"policy", policy}, {"result", "success"}}, static_cast<double>(tls.succeeded.at(i))});
    sessions.push_back(
        {{{"policy", policy}, {"result", "failure"}}, static_cast<double>(tls.failed.at(i))});
  }
  out.counters("tls_sessions_total",
               "Outbound sessions judged, by the policy's type (RFC 8460, 4.4) and the verdict.",
               sessions);
  std::vector<Sample> failures;
  for (std::size_t i = 0; i < tls.failures.size(); ++i) {
    const std::string type(rpt::wire_name(static_cast<rpt::ResultType>(i)));
    failures.push_back({{{"result_type", type}}, static_cast<double>(tls.failures.at(i))});
  }
  out.counters("policy_failures_total", "Failures of sessions by result type (RFC 8460, 4.3).",
               failures);
}

void add_reports(Exposition& out, const spool::ReportTotals& reports) {
  std::vector<Sample> samples;
  for (const auto& [via, ends] : {std::pair("mail", reports.mail), {"https", reports.https}}) {
    for (Sample& sample :
         by("result",
            {{"accepted", ends.accepted}, {"refused", ends.refused}, {"expired", ends.expired}})) {
      sample.labels.insert(sample.labels.begin(), {"via", via});
      samples.push_back(std::move(sample));
    }
  }
  out.counters("reports_total", "TLS reports by destination, by what became of them in the end.",
               samples);
}

void add_policies(Exposition& out, const delivery::PolicyTotals& policies) {
  out.gauge("policy_cache_entries", "MTA-STS policies in memory.", policies.cached);
  out.gauge("policy_cache_failing_entries", "Of these, those whose refresh fails.",
            policies.failing);
  out.gauge("policy_cache_unsaved_entries", "Policies in memory only: the store refused them.",
            policies.unsaved);
  std::vector<Sample> lookups;
  for (std::size_t i = 0; i < policies.lookups.size(); ++i) {
    const std::string found(delivery::name(static_cast<delivery::PolicyFound>(i)));
    lookups.push_back({{{"result", found}}, static_cast<double>(policies.lookups.at(i))});
  }
  out.counters("policy_lookups_total", "Lookups of MTA-STS policies for mail, by what was found.",
               lookups);
  std::vector<Sample> expiries;
  for (const auto& [domain, failing] : policies.failing_policies) {
    expiries.push_back({{{"domain", domain}}, seconds(failing.expires_at)});
  }
  out.gauges("policy_failing_expiry_timestamp_seconds",
             "When a policy whose refresh fails expires, in Unix time; the first ones only.",
             expiries);
  std::vector<Sample> fetches;
  for (const auto& [fault, count] : policies.fetch_failures) {
    fetches.push_back(
        {{{"fault", std::string(delivery::name(fault.first))}, {"reason", fault.second}},
         static_cast<double>(count)});
  }
  out.counters("policy_fetch_failures_total", "Policy fetches that failed, by fault and reason.",
               fetches);
}

void add_store(Exposition& out, const control::StatusFacts& facts) {
  out.gauge("store_failed", "1 after an I/O error: nothing is accepted until a restart.",
            facts.spool_failed ? 1 : 0);
  out.counter("messages_stored_total", "Messages stored: accepted ones and our own notices.",
              facts.statistics.messages_stored);
  out.counter("store_settlements_total", "Delivery attempts whose outcome was stored.",
              facts.statistics.settlements);
  out.counter("store_requests_total", "Requests to the store.", facts.statistics.requests);
  out.histogram("store_commit_seconds", "How long each of the store's transactions took.",
                facts.statistics.commit_times);
  out.counter("store_commits_total", "Transactions of the store, each of many requests.",
              facts.statistics.commits);
}

}  // namespace

std::string exposition(const control::StatusFacts& facts, const spool::SpoolReader::Totals* queue,
                       net::WallTime now) {
  Exposition out;
  add_daemon(out, facts);
  add_connections(out, facts);
  add_reception(out, facts);
  if (queue != nullptr) {
    add_queue(out, *queue, now);
  }
  add_deliveries(out, facts);
  add_notices(out, facts.notices);
  add_events(out, facts);
  add_tls(out, facts.tls);
  add_reports(out, facts.statistics.reports);
  add_policies(out, facts.policies);
  add_store(out, facts);
  return out.text();
}

}  // namespace relay::web
