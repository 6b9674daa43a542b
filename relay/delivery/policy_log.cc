#include "relay/delivery/policy_log.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "relay/delivery/policy_lookup.h"

namespace relay::delivery {
namespace {

constexpr std::chrono::minutes kEvictionsTold{1};
constexpr std::size_t kNamesShown = 8;

std::string names_text(const std::vector<std::string>& names) {
  const auto shown = std::min(names.size(), kNamesShown);
  return fmt::format(
      "{}{}", fmt::join(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(shown), " "),
      shown < names.size() ? " ..." : "");
}

std::string whole_seconds(std::chrono::milliseconds duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count());
}

std::string moment(sts::Time time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time).time_since_epoch().count();
  return fmt::format("{:%FT%TZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::string mode_of(const sts::CachedPolicy* policy) {
  return policy == nullptr ? "" : std::string{sts::name(policy->policy.mode)};
}

conf::LogLevel level_of(sts::Alert alert) {
  switch (alert) {
    case sts::Alert::none:
      return conf::LogLevel::debug;
    case sts::Alert::info:
      return conf::LogLevel::info;
    case sts::Alert::warning:
      return conf::LogLevel::warning;
    case sts::Alert::error:
      return conf::LogLevel::error;
  }
  return conf::LogLevel::debug;
}

}  // namespace

void PolicyLog::fetched(const sts::CachedPolicy* before, const sts::PolicyVerdict& verdict,
                        sts::Purpose purpose) {
  const sts::CachedPolicy& fresh = *verdict.policy;
  const bool unchanged =
      before != nullptr && before->id == fresh.id && before->policy.body == fresh.policy.body;
  // A million policies that are what they were yesterday are no news.
  const bool routine = unchanged && purpose == sts::Purpose::refresh;
  log_.write(routine ? conf::LogLevel::debug : conf::LogLevel::info, "policy-fetched",
             {{"domain", fresh.domain},
              {"mode", mode_of(&fresh)},
              {"id", fresh.id},
              {"max_age", whole_seconds(fresh.policy.max_age)},
              {"mx", std::to_string(fresh.policy.mx.size())},
              {"refresh", purpose == sts::Purpose::refresh ? "background" : ""},
              {"diagnostics", diagnostics_text(verdict.diagnostics)}});
  const auto respect = before == nullptr ? std::string{} : weakening(before->policy, fresh.policy);
  if (!respect.empty()) {
    log_.warning("policy-weakened",
                 {{"domain", fresh.domain},
                  {"respect", respect},
                  {"from", mode_of(before)},
                  {"to", mode_of(&fresh)},
                  {"old_id", before->id},
                  {"id", fresh.id},
                  {"old_max_age", whole_seconds(before->policy.max_age)},
                  {"max_age", whole_seconds(fresh.policy.max_age)},
                  {"new_mx", names_text(widening(before->policy, fresh.policy))}});
  }
}

void PolicyLog::failed(const std::string& domain, const sts::CachedPolicy* before,
                       const sts::PolicyVerdict& verdict, sts::Purpose purpose) {
  const sts::FetchBackoff& backoff = *verdict.backoff;
  // Whoever said none is expected to take the policy away: no alert (RFC 8461 §8.3). What fails in
  // the background has a ladder of its own.
  const bool alert = verdict.fault && purpose != sts::Purpose::refresh;
  log_.write(
      alert ? conf::LogLevel::warning : conf::LogLevel::debug, "policy-fetch-failed",
      {{"domain", domain},
       {"id", backoff.id},
       {"fault", backoff.fault ? std::string{name(backoff.fault->kind)} : ""},
       {"reason", backoff.fault ? backoff.fault->reason : ""},
       {"cached", mode_of(before)},
       {"expires_in", before != nullptr ? whole_seconds(before->expires_at - clock_.wall()) : ""},
       {"retry_in", whole_seconds(backoff.retry_at - clock_.wall())},
       {"diagnostics", diagnostics_text(verdict.diagnostics)}});
}

void PolicyLog::failing(const std::string& domain, const sts::FailingRefresh& failing,
                        sts::Alert alert) {
  log_.write(level_of(alert), "policy-refresh-failing",
             {{"domain", domain},
              {"since", moment(failing.since)},
              {"expires", moment(failing.expires_at)},
              {"fault", std::string{name(failing.fault.kind)}},
              {"reason", failing.fault.reason}});
}

void PolicyLog::recovered(const std::string& domain, const sts::FailingRefresh& failing) {
  log_.info("policy-refresh-recovered", {{"domain", domain}, {"since", moment(failing.since)}});
}

void PolicyLog::record(const std::string& domain, const sts::CachedPolicy* before,
                       const sts::PolicyVerdict& verdict) {
  if (!verdict.record_fault.empty() && before != nullptr) {
    if (without_record_.insert(domain).second) {
      log_.warning("policy-record-lost",
                   {{"domain", domain},
                    {"mode", mode_of(before)},
                    {"id", before->id},
                    {"expires_in", whole_seconds(before->expires_at - clock_.wall())},
                    {"reason", verdict.record_fault}});
    }
  } else if (without_record_.erase(domain) > 0) {
    log_.info("policy-record-back", {{"domain", domain}});
  }
}

void PolicyLog::evicted(const sts::CachedPolicy& policy) {
  bool warn = false;
  if (policy.policy.mode == sts::Mode::enforce) {
    ++untold_evictions_;
    warn = clock_.steady() >= quiet_until_;
  }
  log_.write(warn ? conf::LogLevel::warning : conf::LogLevel::debug, "policy-evicted",
             {{"domain", policy.domain},
              {"mode", mode_of(&policy)},
              {"id", policy.id},
              {"expires_in", whole_seconds(policy.expires_at - clock_.wall())},
              {"enforced", warn ? std::to_string(untold_evictions_) : ""},
              {"detail", "the policy cache is full, see sts.cache_entries"}});
  if (warn) {
    untold_evictions_ = 0;
    quiet_until_ = clock_.steady() + kEvictionsTold;
  }
}

void PolicyLog::lost(const sts::CachedPolicy& policy, const std::string& reason) {
  // RFC 8461 §8.3: none is there to expire.
  const bool quiet = policy.policy.mode == sts::Mode::none;
  log_.write(quiet ? conf::LogLevel::debug : conf::LogLevel::warning, "policy-lost",
             {{"domain", policy.domain},
              {"mode", mode_of(&policy)},
              {"id", policy.id},
              {"reason", reason}});
}

}  // namespace relay::delivery
