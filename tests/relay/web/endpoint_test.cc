#include "relay/web/endpoint.h"

#include <string>

#include <doctest/doctest.h>

namespace relay::web {
namespace {

net::WallTime at(int seconds) {
  return net::WallTime{std::chrono::seconds{seconds}};
}

Sources sources(const std::string& obstacle = {}) {
  Sources sources;
  sources.status = [] { return control::StatusFacts{}; };
  sources.obstacle = [obstacle] { return obstacle; };
  sources.queue = [] { return spool::SpoolReader::Totals{3, 5, 4096, at(60), 1}; };
  sources.now = [] { return at(100); };
  return sources;
}

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

TEST_CASE("probes answer without any fact but whether mail is taken") {
  struct Row {
    const char *path, *obstacle;
    int status;
    const char* body;
  };
  for (const Row& row : {Row{"/live", "", 200, "live\n"},
                         {"/live", "it is stopping", 200, "live\n"},
                         {"/ready", "", 200, "ready\n"},
                         {"/ready", "it is stopping", 503, "not ready: it is stopping\n"},
                         {"/", "", 404, "There are /metrics, /live and /ready.\n"}}) {
    CAPTURE(row.path);
    const net::HttpAnswer answer = respond(row.path, sources(row.obstacle));
    CHECK(answer.status == row.status);
    CHECK(answer.body == row.body);
  }
}

TEST_CASE("metrics tell the queue's depth and the age of its oldest message") {
  const net::HttpAnswer answer = respond("/metrics", sources());
  CHECK(answer.status == 200);
  CHECK(answer.content_type == "text/plain; version=0.0.4; charset=utf-8");
  CHECK(has_line(answer.body, "stsrelay_queue_messages{state=\"queued\"} 2"));
  CHECK(has_line(answer.body, "stsrelay_queue_messages{state=\"held\"} 1"));
  CHECK(has_line(answer.body, "stsrelay_queue_recipients 5"));
  CHECK(has_line(answer.body, "stsrelay_queue_bytes 4096"));
  CHECK(has_line(answer.body, "stsrelay_queue_oldest_seconds 40"));
}

TEST_CASE("a queue that cannot be read leaves its metrics out, not the others") {
  Sources broken = sources();
  broken.queue = []() -> spool::Stored<spool::SpoolReader::Totals> {
    return Unexpected<spool::StoreFault>(spool::StoreFault{});
  };
  const std::string text = respond("/metrics", broken).body;
  CHECK(text.find("stsrelay_queue_messages") == std::string::npos);
  CHECK(has_line(text, "stsrelay_ready 1"));
}

TEST_CASE("what the daemon counts is exposed under its labels") {
  control::StatusFacts facts;
  facts.obstacle = "it is stopping";
  facts.inbound_connections = 1;
  facts.deliveries_waiting = 2;
  facts.deferred = 3;
  facts.listeners = {"127.0.0.1:25", "127.0.0.1:587"};
  facts.clients["127.0.0.1:25"].refused_client = 4;
  facts.policies.lookups[static_cast<std::size_t>(delivery::PolicyFound::absent)] = 9;
  facts.statistics.reports.mail.refused = 10;
  facts.statistics.reports.https.accepted = 11;
  facts.statistics.messages_stored = 5;
  facts.policies.cached = 6;
  facts.policies.fetch_failures[{sts::DiscoveryFault::Kind::fetch_error, "http-404"}] = 7;
  facts.policies.failing_policies = {{"a.example", {}}};
  facts.policies.failing_policies[0].failing.expires_at = at(8);
  delivery::TlsCounts tls;
  rpt::SessionResult session;
  session.policies.resize(2);
  session.policies[0].policy.type = rpt::PolicyType::sts;
  session.policies[0].failures.resize(1);
  session.policies[0].failures[0].type = rpt::ResultType::certificate_expired;
  session.policies[1].policy.type = rpt::PolicyType::tlsa;
  tls.count(session);
  tls.count(session);
  tls.add_to(facts.tls);
  const std::string text = exposition(facts, nullptr, at(100));
  for (const char* line :
       {"stsrelay_ready 0",
        R"(stsrelay_open_connections{direction="inbound"} 1)",
        R"(stsrelay_queue_deliveries{state="waiting"} 2)",
        R"(stsrelay_deliveries_total{result="deferred"} 3)",
        R"(stsrelay_inbound_connections_total{listener="127.0.0.1:25",result="refused_client"} 4)",
        R"(stsrelay_inbound_connections_total{listener="127.0.0.1:587",result="accepted"} 0)",
        R"(stsrelay_policy_lookups_total{result="absent"} 9)",
        R"(stsrelay_policy_lookups_total{result="cached"} 0)",
        R"(stsrelay_reports_total{via="mail",result="refused"} 10)",
        R"(stsrelay_reports_total{via="https",result="accepted"} 11)",
        R"(stsrelay_reports_total{via="https",result="expired"} 0)",
        "stsrelay_messages_stored_total 5",
        "stsrelay_policy_cache_entries 6",
        R"(stsrelay_policy_fetch_failures_total{fault="fetch-error",reason="http-404"} 7)",
        R"(stsrelay_policy_failing_expiry_timestamp_seconds{domain="a.example"} 8)",
        R"(stsrelay_tls_sessions_total{policy="sts",result="failure"} 2)",
        R"(stsrelay_tls_sessions_total{policy="sts",result="success"} 0)",
        R"(stsrelay_tls_sessions_total{policy="tlsa",result="success"} 2)",
        R"(stsrelay_policy_failures_total{result_type="certificate-expired"} 2)",
        R"(stsrelay_policy_failures_total{result_type="starttls-not-supported"} 0)"}) {
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
}

TEST_CASE("durations are exposed as a histogram: each bucket holds those below it, too") {
  net::DurationCounts durations(net::kMailDurations);
  for (const auto duration : {100, 101, 3'000, 90'000'000}) {
    durations.count(std::chrono::milliseconds(duration));
  }
  control::StatusFacts facts;
  durations.add_to(facts.delays);
  durations.add_to(facts.delays);
  net::DurationCounts commits(net::kDiskDurations);
  for (const auto duration : {200, 1'000, 1'001, 11'000'000}) {
    commits.count(std::chrono::microseconds(duration));
  }
  commits.add_to(facts.statistics.commit_times);
  const std::string text = exposition(facts, nullptr, at(0));
  for (const char* line :
       {R"(stsrelay_message_delay_seconds_bucket{le="0.1"} 2)",
        R"(stsrelay_message_delay_seconds_bucket{le="0.5"} 4)",
        R"(stsrelay_message_delay_seconds_bucket{le="2"} 4)",
        R"(stsrelay_message_delay_seconds_bucket{le="5"} 6)",
        R"(stsrelay_message_delay_seconds_bucket{le="86400"} 6)",
        R"(stsrelay_message_delay_seconds_bucket{le="+Inf"} 8)",
        "stsrelay_message_delay_seconds_count 8", "stsrelay_attempt_seconds_count 0",
        R"(stsrelay_store_commit_seconds_bucket{le="0.00025"} 1)",
        R"(stsrelay_store_commit_seconds_bucket{le="0.001"} 2)",
        R"(stsrelay_store_commit_seconds_bucket{le="0.0025"} 3)",
        R"(stsrelay_store_commit_seconds_bucket{le="10"} 3)",
        R"(stsrelay_store_commit_seconds_bucket{le="+Inf"} 4)",
        "stsrelay_store_commit_seconds_count 4"}) {
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
}

TEST_CASE("metrics tell what senders and programs were told, and what clients were refused") {
  Sources told = sources();
  told.status = [] {
    control::StatusFacts facts;
    facts.notices.failed = 1;
    facts.notices.delayed = 2;
    facts.notices.relayed = 3;
    facts.notices.double_bounces = 4;
    facts.notices.dropped_unwanted = 5;
    facts.notices.dropped_null_sender = 6;
    facts.notices.dropped_too_many = 7;
    facts.events_sent = 8;
    facts.events_lost = 9;
    facts.events_waiting = 10;
    facts.accepted = 11;
    facts.rejected = {{"RCPT", 12}};
    facts.auth_failures = 13;
    return facts;
  };
  const std::string text = respond("/metrics", told).body;
  for (const char* line :
       {"stsrelay_notices_total{kind=\"failed\"} 1", "stsrelay_notices_total{kind=\"delayed\"} 2",
        "stsrelay_notices_total{kind=\"relayed\"} 3",
        "stsrelay_notices_total{kind=\"double-bounce\"} 4",
        "stsrelay_notices_dropped_total{reason=\"unwanted\"} 5",
        "stsrelay_notices_dropped_total{reason=\"null-sender\"} 6",
        "stsrelay_notices_dropped_total{reason=\"too-many\"} 7",
        "stsrelay_events_total{result=\"sent\"} 8", "stsrelay_events_total{result=\"lost\"} 9",
        "stsrelay_events_waiting 10", "stsrelay_messages_accepted_total 11",
        "stsrelay_rejections_total{stage=\"RCPT\"} 12", "stsrelay_auth_failures_total 13"}) {
    CAPTURE(line);
    CHECK(has_line(text, line));
  }
}

}  // namespace
}  // namespace relay::web
