#include "relay/control/views.h"

#include <algorithm>

#include "relay/control/overrides.h"
#include "relay/control/timestamp.h"
#include "relay/control/version.h"
#include "relay/delivery/pauses.h"
#include "relay/delivery/policy_lookup.h"

namespace relay::control {
namespace {

std::string_view origin_name(spool::Origin origin) {
  switch (origin) {
    case spool::Origin::submitted:
      return "submitted";
    case spool::Origin::notice:
      return "notice";
    case spool::Origin::report:
      return "report";
  }
  return "";
}

Json recipient_view(const spool::Recipient& recipient) {
  return {{"address", recipient.address},
          {"domain", recipient.domain},
          {"attempts", recipient.attempts},
          {"next_try", to_rfc3339(recipient.next_try)},
          {"last_try",
           recipient.last_try == net::WallTime{} ? Json() : Json(to_rfc3339(recipient.last_try))},
          {"last_result", recipient.last_result}};
}

Json envelope_view(const spool::Envelope& envelope, std::size_t max_recipients) {
  Json json{{"id", envelope.id.text()},
            {"origin", origin_name(envelope.origin)},
            {"sender", envelope.sender},
            {"received_at", to_rfc3339(envelope.received_at)},
            {"expires_at", to_rfc3339(envelope.expires_at)},
            {"size", envelope.size},
            {"priority", spool::name(envelope.priority)},
            {"recipient_count", envelope.recipients.size()},
            {"recipients", Json::array()}};
  if (!envelope.held.empty()) {
    json["held"] = envelope.held;
    json["held_at"] = to_rfc3339(envelope.held_at);
  }
  const std::size_t count = std::min(max_recipients, envelope.recipients.size());
  for (std::size_t i = 0; i < count; ++i) {
    json["recipients"].push_back(recipient_view(envelope.recipients[i]));
  }
  return json;
}

/// Null: it is not for staging.
Json staging_view(const StatusFacts& facts) {
  if (facts.staging_modes.empty()) {
    return nullptr;
  }
  Json recipients = Json::object();
  for (std::size_t i = 1; i < facts.staged.size(); ++i) {
    recipients[std::string(delivery::name(static_cast<delivery::Staged>(i)))] = facts.staged.at(i);
  }
  return {{"mode", facts.staging_modes},
          {"summary", facts.staging_summary},
          {"recipients", std::move(recipients)}};
}

void put_known(Json& json, const char* key, const std::string& text) {
  if (!text.empty()) {
    json[key] = text;
  }
}

Json failure_view(const rpt::FailureDetail& failure, std::uint64_t count) {
  Json json{{"result_type", rpt::wire_name(failure.type)}, {"count", count}};
  put_known(json, "sending_mta_ip", failure.sending_mta_ip);
  put_known(json, "receiving_mx_hostname", failure.receiving_mx_hostname);
  put_known(json, "receiving_mx_helo", failure.receiving_mx_helo);
  put_known(json, "receiving_ip", failure.receiving_ip);
  put_known(json, "reason_code", failure.reason_code);
  return json;
}

Json fault_view(const sts::DiscoveryFault& fault) {
  return {{"fault", delivery::name(fault.kind)}, {"reason", fault.reason}};
}

Json failing_view(const std::vector<delivery::FailingPolicy>& policies) {
  Json list = Json::array();
  for (const auto& [domain, failing] : policies) {
    Json json{{"domain", domain},
              {"since", to_rfc3339(failing.since)},
              {"expires_at", to_rfc3339(failing.expires_at)},
              {"alert", sts::name(failing.said)}};
    json.update(fault_view(failing.fault));
    list.push_back(std::move(json));
  }
  return list;
}

Json fetch_failures_view(const delivery::FetchFailures::Counts& counts) {
  Json list = Json::array();
  for (const auto& [key, count] : counts) {
    Json json = fault_view({key.first, key.second});
    json["count"] = count;
    list.push_back(std::move(json));
  }
  return list;
}

Json pauses_view(const std::vector<spool::Pause>& pauses) {
  Json list = Json::array();
  for (const spool::Pause& pause : pauses) {
    list.push_back(pause_view(pause));
  }
  return list;
}

Json held_clients_view(const std::vector<spool::ClientHold>& holds) {
  Json list = Json::array();
  for (const spool::ClientHold& hold : holds) {
    list.push_back(client_hold_view(hold));
  }
  return list;
}

/// "100/h"; null: any number.
Json rate_view(const std::optional<conf::Rate>& rate) {
  return rate ? Json(conf::to_text(*rate)) : Json();
}

Json held_view(const std::vector<delivery::UpstreamStates::Held>& held) {
  Json list = Json::array();
  for (const auto& [upstream, reply, since] : held) {
    list.push_back({{"upstream", upstream}, {"reply", reply}, {"since", to_rfc3339(since)}});
  }
  return list;
}

}  // namespace

Json message_summary(const spool::Envelope& envelope) {
  return envelope_view(envelope, kListedRecipients);
}

Json message_details(const spool::Envelope& envelope) {
  Json json = envelope_view(envelope, envelope.recipients.size());
  json["eight_bit"] = envelope.eight_bit;
  json["smtputf8"] = envelope.smtputf8;
  json["tls"] = smtp::name(envelope.tls);
  put_known(json, "ret", envelope.ret);
  put_known(json, "envid", envelope.envid);
  put_known(json, "client_ip", envelope.client_ip);
  put_known(json, "client_helo", envelope.client_helo);
  put_known(json, "user", envelope.user);
  put_known(json, "listener", envelope.listener);
  return json;
}

Json client_hold_view(const spool::ClientHold& hold) {
  return {{"name", hold.name},
          {"reason", hold.reason},
          {"since", to_rfc3339(hold.since)},
          {"by", hold.by}};
}

Json client_view(const reception::ClientState& client) {
  const reception::SendingLimits& limits = client.limits;
  return {{"name", client.name},
          {"messages", client.messages},
          {"messages_limit", rate_view(limits.messages)},
          {"recipients", client.recipients},
          {"recipients_limit", rate_view(limits.recipients)},
          {"connections", client.connections},
          {"connections_limit", limits.connections == 0 ? Json() : Json(limits.connections)},
          {"held", client.hold ? client_hold_view(*client.hold) : Json()}};
}

Json pause_view(const spool::Pause& pause) {
  return {{"what", delivery::subject_of(pause)},
          {"name", pause.name},
          {"reason", pause.reason},
          {"since", to_rfc3339(pause.since)},
          {"by", pause.by}};
}

Json policy_summary(const sts::CachedPolicy& policy, net::WallTime now) {
  Json json{{"domain", policy.domain},
            {"mode", sts::name(policy.policy.mode)},
            {"id", policy.id},
            {"mx", Json::array()},
            {"fetched_at", to_rfc3339(policy.fetched_at)},
            {"expires_at", to_rfc3339(policy.expires_at)},
            {"expired", policy.expires_at <= now}};
  for (const sts::MxPattern& pattern : policy.policy.mx) {
    json["mx"].push_back(pattern.text());
  }
  return json;
}

Json policy_details(const sts::CachedPolicy& policy, net::WallTime now) {
  Json json = policy_summary(policy, now);
  json["max_age"] = policy.policy.max_age.count();
  json["body"] = policy.policy.body;
  return json;
}

Json policy_state_view(const delivery::PolicyState& state) {
  const auto moment = [](const std::optional<net::WallTime>& time) {
    return time ? Json(to_rfc3339(*time)) : Json();
  };
  Json json{{"refresh_at", moment(state.refresh_at)}, {"failing", nullptr}, {"back_off", nullptr}};
  if (state.failing) {
    json["failing"] = Json{{"since", to_rfc3339(state.failing->since)},
                           {"alert", sts::name(state.failing->said)},
                           {"fault", delivery::name(state.failing->fault.kind)},
                           {"reason", state.failing->fault.reason}};
  }
  if (state.backoff) {
    const sts::FetchBackoff& backoff = *state.backoff;
    json["back_off"] =
        Json{{"id", backoff.id},
             {"failures", backoff.failures},
             {"until", to_rfc3339(backoff.retry_at)},
             {"reason", backoff.fault ? backoff.fault->reason : "the old policy was served"}};
  }
  return json;
}

Json refresh_view(const std::string& domain, const sts::PolicyVerdict& verdict, net::WallTime now) {
  const bool fetched = verdict.source == sts::PolicyVerdict::Source::fetched;
  const bool failed = verdict.fault || verdict.backoff || !verdict.hold.empty();
  Json json{{"domain", domain},
            {"outcome", fetched  ? "fetched"
                        : failed ? "failed"
                                 : "nothing"},
            {"note", verdict.note},
            {"policy", nullptr},
            {"diagnostics", Json::array()}};
  if (verdict.policy != nullptr) {
    json["policy"] = policy_summary(*verdict.policy, now);
  }
  for (const sts::Diagnostic& each : verdict.diagnostics) {
    json["diagnostics"].push_back(
        Json{{"code", each.code}, {"line", each.line}, {"message", each.message}});
  }
  return json;
}

Json replaced_policy_view(const spool::ReplacedPolicy& replaced) {
  return {{"id", replaced.id},
          {"mode", sts::name(replaced.mode)},
          {"max_age", replaced.max_age.count()},
          {"fetched_at", to_rfc3339(replaced.fetched_at)},
          {"replaced_at", to_rfc3339(replaced.replaced_at)},
          {"why", replaced.why},
          {"body", replaced.body}};
}

Json result_view(const rpt::Tally::Key& key, const rpt::PolicyCounts& counts) {
  const auto& [domain, policy] = key;
  Json json{{"report_domain", domain},
            {"policy", Json{{"type", rpt::wire_name(policy.type)},
                            {"domain", policy.domain},
                            {"strings", policy.strings},
                            {"mx_hosts", policy.mx_hosts}}},
            {"successful_sessions", counts.successful_sessions},
            {"failed_sessions", counts.failed_sessions},
            {"failures", Json::array()}};
  for (const auto& [failure, count] : counts.failures) {
    json["failures"].push_back(failure_view(failure, count));
  }
  return json;
}

Json status_view(const StatusFacts& facts, const spool::SpoolReader::Totals& totals,
                 net::WallTime now) {
  return {
      {"version", kVersion},
      {"hostname", facts.hostname},
      {"config_file", facts.config_file},
      {"started_at", to_rfc3339(facts.started_at)},
      {"now", to_rfc3339(now)},
      {"listeners", facts.listeners},
      {"workers", facts.workers},
      {"test_world", facts.test_world},
      {"staging", staging_view(facts)},
      {"ready", facts.obstacle.empty()},
      {"obstacle", facts.obstacle},
      {"inbound_connections", facts.inbound_connections},
      {"outbound_connections", facts.outbound_connections},
      {"deliveries_in_flight", facts.deliveries_in_flight},
      {"deliveries_ready", facts.deliveries_ready},
      {"deliveries_waiting", facts.deliveries_waiting},
      {"deliveries_resting", facts.deliveries_resting},
      {"pauses", pauses_view(facts.pauses)},
      {"held_clients", held_clients_view(facts.held_clients)},
      {"recipients",
       Json{
           {"delivered", facts.delivered}, {"deferred", facts.deferred}, {"failed", facts.failed}}},
      {"queue", Json{{"messages", totals.messages},
                     {"held", totals.held},
                     {"recipients", totals.recipients},
                     {"octets", totals.octets},
                     {"oldest", totals.oldest ? Json(to_rfc3339(*totals.oldest)) : Json()}}},
      {"policies", Json{{"cached", facts.policies.cached},
                        {"failing", facts.policies.failing},
                        {"earliest_expiry", facts.policies.earliest_expiry
                                                ? Json(to_rfc3339(*facts.policies.earliest_expiry))
                                                : Json()},
                        {"unsaved", facts.policies.unsaved},
                        {"failing_domains", failing_view(facts.policies.failing_policies)},
                        {"fetch_failures", fetch_failures_view(facts.policies.fetch_failures)}}},
      {"spool", Json{{"failed", facts.spool_failed},
                     {"messages_stored", facts.statistics.messages_stored},
                     {"settlements", facts.statistics.settlements},
                     {"requests", facts.statistics.requests},
                     {"commits", facts.statistics.commits}}},
      {"tls_policy", tls_policy_view(facts, now)},
      {"held_upstreams", held_view(facts.held_upstreams)},
      {"dnssec", {{"mode", facts.dnssec_mode}, {"state", facts.dnssec_state}}},
  };
}

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace relay::control
