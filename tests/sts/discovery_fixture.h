// A sender's view of one domain over time, for the tests of sts::Discovery.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include <doctest/doctest.h>

#include "sts/discovery.h"

namespace sts::testing {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using Source = sts::PolicyVerdict::Source;
using FaultKind = sts::DiscoveryFault::Kind;

inline const sts::Time kNow{std::chrono::sys_days{std::chrono::year{2026} / 8 / 20}};
inline constexpr auto kDomain = "rcpt.example";

inline std::string body(const std::string& mode, const std::string& max_age = "604800") {
  return "version: STSv1\nmode: " + mode + "\nmx: *.rcpt.example\nmax_age: " + max_age + "\n";
}

inline sts::RecordResult txt(const std::string& id) {
  return sts::RecordAnswer{{"v=STSv1; id=" + id}};
}
inline sts::FetchResult ok(const std::string& text) {
  return sts::HttpAnswer{200, "text/plain", text};
}
inline sts::FetchResult status(int code) {
  return sts::HttpAnswer{code, "text/plain", body("enforce")};
}

// A sender's view of one domain over time: what it has cached, and each delivery's discovery.
class Domain {
 public:
  // HTTPS answers are given as functions so that a fetch that must not happen fails the test.
  sts::PolicyVerdict deliver(const sts::RecordResult& record,
                             const std::optional<sts::FetchResult>& https = {}) {
    sts::Discovery discovery{kDomain, cache.find(kDomain, now), cache.backoff(kDomain)};
    const auto query = discovery.start();
    REQUIRE(std::holds_alternative<sts::QueryRecord>(query));
    CHECK(std::get<sts::QueryRecord>(query).name == "_mta-sts.rcpt.example");
    auto step = discovery.on_record(record, now);
    fetched = std::holds_alternative<sts::FetchPolicy>(step);
    if (fetched) {
      CHECK(std::get<sts::FetchPolicy>(step).host == "mta-sts.rcpt.example");
      REQUIRE_MESSAGE(https.has_value(), "a fetch where none is due");
      step = discovery.on_policy(*https, now);
    }
    auto verdict = std::get<sts::PolicyVerdict>(step);
    sts::remember(cache, kDomain, verdict, now);
    return verdict;
  }

  // The background's refresh, or a delivery whose hosts all failed.
  sts::PolicyVerdict look(sts::Purpose purpose, const sts::RecordResult& record,
                          const std::optional<sts::FetchResult>& https = {}) {
    sts::Approach approach;
    approach.purpose = purpose;
    sts::Discovery discovery{
        kDomain, cache.peek(kDomain, now), cache.backoff(kDomain), {}, approach};
    (void)discovery.start();
    auto step = discovery.on_record(record, now);
    fetched = std::holds_alternative<sts::FetchPolicy>(step);
    if (fetched) {
      REQUIRE_MESSAGE(https.has_value(), "a fetch where none is due");
      step = discovery.on_policy(*https, now);
    }
    auto verdict = std::get<sts::PolicyVerdict>(step);
    sts::remember(cache, kDomain, verdict, now, sts::FetchedFor::stock);
    return verdict;
  }

  // Puts a policy into the cache as an earlier delivery would have.
  void know(const std::string& id, const std::string& mode, const std::string& max_age = "604800") {
    const auto verdict = deliver(txt(id), ok(body(mode, max_age)));
    REQUIRE(verdict.store != nullptr);
    REQUIRE(fetched);
  }

  sts::PolicyCache cache{100};
  sts::Time now = kNow;
  bool fetched = false;
};

inline std::string mode(const sts::PolicyVerdict& verdict) {
  return verdict.policy == nullptr ? "no policy" : std::string{name(verdict.policy->policy.mode)};
}

inline std::string fault(const sts::PolicyVerdict& verdict) {
  if (!verdict.fault) {
    return "";
  }
  const std::map<FaultKind, std::string> kinds = {{FaultKind::fetch_error, "fetch"},
                                                  {FaultKind::policy_invalid, "invalid"},
                                                  {FaultKind::webpki_invalid, "webpki"}};
  return kinds.at(verdict.fault->kind) + " " + verdict.fault->reason;
}

}  // namespace sts::testing
