#include "rpt/tally.h"

#include <doctest/doctest.h>

namespace {

using rpt::FailureDetail;
using rpt::PolicyDescription;
using rpt::PolicyType;
using rpt::ResultType;

const std::chrono::sys_days kDay{std::chrono::year{2026} / 8 / 20};

rpt::SessionResult session(const PolicyDescription& policy,
                           const std::vector<FailureDetail>& failures = {}) {
  return {"rcpt.example", kDay + std::chrono::hours{12}, {{policy, failures}}};
}

FailureDetail failure(ResultType type, const std::string& ip = "203.0.113.10") {
  return {type, "192.0.2.1", "mx1.rcpt.example", "mx1.rcpt.example", ip, "reason"};
}

const PolicyDescription kNone{PolicyType::no_policy_found, {}, "rcpt.example", {}};

}  // namespace

TEST_CASE("each policy of a session counts one success or one failure, whatever its details") {
  rpt::Tally tally;
  tally.add(session(kNone));
  tally.add(session(kNone, {failure(ResultType::certificate_expired),
                            failure(ResultType::certificate_host_mismatch)}));
  REQUIRE(tally.counts().size() == 1);
  const auto& [key, counts] = *tally.counts().begin();
  CHECK(key.first == "rcpt.example");
  CHECK(counts.successful_sessions == 1);
  CHECK(counts.failed_sessions == 1);
  CHECK(counts.failures.size() == 2);
}

TEST_CASE("tallies merge to the counts of all their sessions") {
  rpt::Tally one;
  rpt::Tally other;
  rpt::Tally all;
  for (int i = 0; i < 10; ++i) {
    auto result = session(kNone);
    if (i % 3 == 0) {
      result.policies[0].failures.push_back(failure(ResultType::validation_failure));
    }
    (i < 4 ? one : other).add(result);
    all.add(result);
  }
  one.merge(other);
  const auto merged = rpt::summarize(one, "rcpt.example", 10);
  const auto expected = rpt::summarize(all, "rcpt.example", 10);
  REQUIRE(merged.size() == 1);
  CHECK(merged[0].successful_sessions == 6);
  CHECK(merged[0].failed_sessions == 4);
  CHECK(merged[0].failures == expected[0].failures);
}

TEST_CASE("the spelling of names, addresses and TLSA records splits nothing") {
  rpt::Tally tally;
  PolicyDescription policy{PolicyType::tlsa, {"3 1 1 BB cc", "2 0 1 aa"}, "MX1.rcpt.example.", {}};
  rpt::SessionResult first =
      session(policy, {failure(ResultType::validation_failure, "2001:DB8::1")});
  first.report_domain = "RCPT.Example.";
  policy = {PolicyType::tlsa, {"2 0 1 AA", "3 1 1 bbCC", "2 0 1 aa"}, "mx1.rcpt.example", {}};
  rpt::SessionResult second =
      session(policy, {failure(ResultType::validation_failure, "2001:db8:0:0::1")});
  second.policies[0].failures[0].receiving_mx_hostname = "MX1.rcpt.example.";
  second.policies[0].failures[0].receiving_mx_helo = "250-mx1.rcpt.example hello\r\n250 SIZE";
  second.policies[0].failures[0].sending_mta_ip = "::ffff:192.0.2.1";
  tally.add(first);
  tally.add(second);
  REQUIRE(tally.counts().size() == 1);
  const auto& [key, counts] = *tally.counts().begin();
  CHECK(key.second.strings == std::vector<std::string>{"2 0 1 AA", "3 1 1 BBCC"});
  CHECK(counts.failures.size() == 1);
}

TEST_CASE("a session belongs to the UTC day of its end") {
  auto result = session(kNone);
  result.ended_at = kDay + std::chrono::hours{24} - std::chrono::seconds{1};
  CHECK(rpt::report_day(result) == kDay);
  result.ended_at += std::chrono::seconds{1};
  CHECK(rpt::report_day(result) == kDay + std::chrono::days{1});
}

TEST_CASE("details are shown by count, then result type, host and addresses") {
  std::map<FailureDetail, std::uint64_t> failures;
  failures[failure(ResultType::validation_failure)] = 9;
  failures[failure(ResultType::certificate_host_mismatch)] = 2;
  failures[failure(ResultType::certificate_expired, "203.0.113.11")] = 2;
  failures[failure(ResultType::certificate_expired, "203.0.113.10")] = 2;
  const auto shown = rpt::fold_details(failures, 10);
  REQUIRE(shown.size() == 4);
  CHECK(shown[0].failure.type == ResultType::validation_failure);
  CHECK(shown[1].failure.receiving_ip == "203.0.113.10");
  CHECK(shown[2].failure.type == ResultType::certificate_expired);
  CHECK(shown[3].failure.type == ResultType::certificate_host_mismatch);
}

TEST_CASE("details above the limit are folded by result type and the counts still add up") {
  std::map<FailureDetail, std::uint64_t> failures;
  for (std::uint64_t i = 1; i <= 20; ++i) {
    const auto type = i % 2 == 0 ? ResultType::certificate_expired : ResultType::validation_failure;
    failures[failure(type, "203.0.113." + std::to_string(i))] = i;
  }
  for (const std::size_t limit : {0U, 1U, 19U, 20U, 21U}) {
    CAPTURE(limit);
    const auto shown = rpt::fold_details(failures, limit);
    std::uint64_t sum = 0;
    for (const auto& each : shown) {
      sum += each.sessions;
    }
    CHECK(sum == 210);
    CHECK(shown.size() <= limit + 2);
  }
  const auto shown = rpt::fold_details(failures, 0);
  REQUIRE(shown.size() == 2);
  CHECK(shown[0].failure ==
        FailureDetail{ResultType::certificate_expired, "", "", "", "", "folded:10"});
  CHECK(shown[0].sessions == 110);
}

TEST_CASE("what a store counted as one joins what is folded, and is never shown as a kind") {
  std::map<FailureDetail, std::uint64_t> failures;
  const auto expired = ResultType::certificate_expired;
  failures[failure(expired, "203.0.113.1")] = 3;
  failures[failure(expired, "203.0.113.2")] = 2;
  failures[rpt::folded_detail(expired, 1)] = 1000;
  const auto shown = rpt::fold_details(failures, 1);
  REQUIRE(shown.size() == 2);
  CHECK(shown[0].failure.receiving_ip == "203.0.113.1");
  CHECK(shown[1].failure == FailureDetail{expired, "", "", "", "", "folded:2"});
  CHECK(shown[1].sessions == 1002);
}

TEST_CASE("only a row without host and addresses stands for folded ones") {
  const auto expired = ResultType::certificate_expired;
  CHECK(rpt::folded_details({expired, "", "", "", "", "folded:17"}) == 17);
  CHECK(!rpt::folded_details({expired, "", "mx.example.com", "", "", "folded:17"}));
  for (const char* reason : {"", "folded:", "folded:1x", "folded:-1", "X509-10", "folded:01"}) {
    CAPTURE(reason);
    CHECK(!rpt::folded_details({expired, "", "", "", "", reason}));
  }
}

TEST_CASE("a domain's policies are shown by type, then domain, then strings") {
  const std::vector<PolicyDescription> ordered = {
      {PolicyType::tlsa, {"3 1 1 FF"}, "mx1.rcpt.example", {}},
      {PolicyType::tlsa, {"3 1 1 AA"}, "mx2.rcpt.example", {}},
      {PolicyType::sts, {"mode: enforce"}, "rcpt.example", {}},
      {PolicyType::sts, {"mode: testing"}, "rcpt.example", {}},
      kNone};
  rpt::Tally tally;
  for (auto policy = ordered.rbegin(); policy != ordered.rend(); ++policy) {
    tally.add(session(*policy));
  }
  auto foreign = session(kNone);
  foreign.report_domain = "other.example";
  tally.add(foreign);
  const auto shown = rpt::summarize(tally, "rcpt.example", 10);
  REQUIRE(shown.size() == ordered.size());
  for (std::size_t i = 0; i < ordered.size(); ++i) {
    CHECK(shown[i].policy == ordered[i]);
  }
}

TEST_CASE("every result and policy type has one wire name and is found by it") {
  for (int i = 0; i <= static_cast<int>(ResultType::sts_webpki_invalid); ++i) {
    const auto type = static_cast<ResultType>(i);
    CHECK(rpt::parse_result_type(rpt::wire_name(type)) == type);
  }
  for (const PolicyType type : {PolicyType::tlsa, PolicyType::sts, PolicyType::no_policy_found}) {
    CHECK(rpt::parse_policy_type(rpt::wire_name(type)) == type);
  }
  CHECK_FALSE(rpt::parse_result_type("certificate_expired"));
  CHECK_FALSE(rpt::parse_policy_type("none"));
}
