#include <algorithm>
#include <map>

#include <doctest/doctest.h>

#include "rpt/report.h"
#include "tests/rpt/report_fixture.h"

namespace {

using fixture::failure;
using fixture::report;
using rpt::ResultType;

struct Totals {
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
  std::map<ResultType, std::uint64_t> details;
  friend bool operator==(const Totals&, const Totals&) = default;
};

Totals totals(const rpt::Report& report) {
  Totals sum;
  for (const auto& summary : report.policies) {
    sum.succeeded += summary.successful_sessions;
    sum.failed += summary.failed_sessions;
    for (const auto& counted : summary.failures) {
      sum.details[counted.failure.type] += counted.sessions;
    }
  }
  return sum;
}

// Details of two result types from as many addresses, the first the most frequent.
std::vector<rpt::CountedFailure> many_details(int count) {
  std::vector<rpt::CountedFailure> details;
  for (int i = 0; i < count; ++i) {
    details.push_back(
        failure(i % 2 == 0 ? ResultType::certificate_expired : ResultType::validation_failure,
                static_cast<std::uint64_t>(count - i),
                "203.0." + std::to_string(i / 256) + '.' + std::to_string(i % 256)));
  }
  return details;
}

rpt::Report many_policies(int count) {
  rpt::Report many = report();
  for (int i = 0; i < count; ++i) {
    rpt::PolicySummary summary;
    summary.policy = {i % 2 == 0 ? rpt::PolicyType::tlsa : rpt::PolicyType::sts,
                      {"string " + std::to_string(i)},
                      "mx" + std::to_string(i) + ".rcpt.example",
                      {}};
    summary.successful_sessions = static_cast<std::uint64_t>(i);
    summary.failed_sessions = 3;
    summary.failures = many_details(2);
    many.policies.push_back(summary);
  }
  return many;
}

}  // namespace

TEST_CASE("T71: redaction leaves out what it names and joins details that became equal") {
  rpt::CountedFailure one = failure(ResultType::certificate_expired, 2);
  rpt::CountedFailure other = one;
  other.failure.sending_mta_ip = "192.0.2.2";
  other.sessions = 3;
  rpt::CountedFailure third = one;
  third.failure.reason_code = "reason-2";
  third.sessions = 4;
  rpt::CountedFailure folded;
  folded.failure.type = ResultType::certificate_expired;
  folded.failure.reason_code = "folded:7";
  folded.sessions = 9;
  const rpt::Report full = report({{fixture::kSts, 0, 18, {third, other, one, folded}}});

  rpt::Report untouched = full;
  rpt::redact(untouched, {});
  CHECK(rpt::to_json(untouched) == rpt::to_json(full));

  rpt::Report without_ip = full;
  rpt::redact(without_ip, {.sending_mta_ip = true});
  one.failure.sending_mta_ip.clear();
  one.sessions = 5;
  third.failure.sending_mta_ip.clear();
  CHECK(without_ip.policies[0].failures == std::vector{one, third, folded});

  rpt::Report bare = full;
  rpt::redact(bare, {.sending_mta_ip = true, .receiving_mx_helo = true, .reason_text = true});
  one.failure.receiving_mx_helo.clear();
  one.failure.reason_code.clear();
  one.sessions = 9;
  CHECK(bare.policies[0].failures == std::vector{one, folded});
  CHECK(totals(bare) == totals(full));
}

TEST_CASE("T65: the least frequent details are folded until the report is small enough") {
  const rpt::Report full =
      report({{fixture::kSts, 5, 500, many_details(500)}, {{}, 0, 3, many_details(3)}});
  const std::size_t size = rpt::to_json(full).size();
  REQUIRE(size > 50'000);
  for (const std::size_t max_size : {size, size - 1, std::size_t{30'000}, std::size_t{10'000}}) {
    CAPTURE(max_size);
    rpt::Report limited = full;
    rpt::limit_size(limited, max_size);
    CHECK(rpt::to_json(limited).size() <= max_size);
    CHECK(totals(limited) == totals(full));
    const auto& kept = limited.policies[0].failures;
    CHECK((kept.size() == 500) == (max_size == size));
    REQUIRE(kept.size() > 10);
    CHECK(kept[0] == full.policies[0].failures[0]);
    CHECK(kept[10] == full.policies[0].failures[10]);
    CHECK(limited.policies[1].failures == full.policies[1].failures);
    if (max_size < size) {
      CHECK(kept.back().failure.reason_code.starts_with("folded:"));
    }
    // Not much less than there is room for.
    CHECK(rpt::to_json(limited).size() + 5000 > max_size);
  }
}

TEST_CASE("what was folded before is folded further, and counted as what it stands for") {
  std::map<rpt::FailureDetail, std::uint64_t> failures;
  for (const auto& [detail, sessions] : many_details(400)) {
    failures[detail] = sessions;
  }
  rpt::Report limited = report({{fixture::kSts, 0, 1, rpt::fold_details(failures, 300)}});
  const Totals before = totals(limited);
  rpt::limit_size(limited, 10'000);
  CHECK(totals(limited) == before);
  const auto& kept = limited.policies[0].failures;
  std::uint64_t folded = 0;
  std::size_t rows = 0;
  for (const auto& counted : kept) {
    if (const std::string& reason = counted.failure.reason_code; reason.starts_with("folded:")) {
      folded += std::stoull(reason.substr(7));
      ++rows;
    }
  }
  CHECK(rows == 2);
  CHECK(folded + kept.size() - rows == 400);
}

TEST_CASE("policies without room are joined by type, those with the most sessions stay") {
  const rpt::Report full = many_policies(300);
  for (const std::size_t max_size : {60'000U, 20'000U, 9'000U}) {
    CAPTURE(max_size);
    rpt::Report limited = full;
    rpt::limit_size(limited, max_size);
    CHECK(rpt::to_json(limited).size() <= max_size);
    CHECK(totals(limited) == totals(full));
    REQUIRE(limited.policies.size() > 3);
    CHECK(limited.policies.front().policy.type == rpt::PolicyType::tlsa);
    CHECK(limited.policies.back().policy.type == rpt::PolicyType::sts);
    const auto named = [&](const std::string& domain) {
      return std::count_if(limited.policies.begin(), limited.policies.end(),
                           [&](const auto& each) { return each.policy.domain == domain; });
    };
    CHECK(named("mx299.rcpt.example") == 1);
    CHECK(named("mx0.rcpt.example") == 0);
    CHECK(named("rcpt.example") == 2);
  }
}

TEST_CASE("a report of the largest size is limited to 10 MB") {
  rpt::Report large = report({{fixture::kSts, 0, 1, many_details(60'000)}});
  const Totals before = totals(large);
  rpt::limit_size(large);
  const std::size_t size = rpt::to_json(large).size();
  CHECK(size <= rpt::kMaxJson);
  CHECK(size > rpt::kMaxJson - 5000);
  CHECK(totals(large) == before);
}
