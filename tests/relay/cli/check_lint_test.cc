#include <set>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/cli/check_findings.h"
#include "tests/relay/cli/examined.h"

namespace {

using namespace support;
using Verdict = CheckOutcome::Verdict;

int exit_code(const Examination& examination) {
  return check_exit_code(outcome_of(examination), findings_of(examination));
}

TEST_CASE("a policy that is only linted is good, tolerable, or none") {
  struct Line {
    std::string body;
    int exit_code;
  };
  const std::vector<Line> rows{{policy_text("enforce"), kCheckGood},
                               {policy_text("enforce") + "mode: none\n", kCheckGood},
                               {policy_text("enforce") + "\n", kCheckFindings},
                               {policy_text("strict"), kCheckRefused},
                               {"", kCheckRefused}};
  for (const Line& row : rows) {
    CAPTURE(row.body);
    Examination found;
    found.policy = policy_of(row.body);
    CHECK(outcome_of(found).verdict == Verdict::linted);
    CHECK(exit_code(found) == row.exit_code);
  }
}

TEST_CASE("each diagnostic of a policy has a line, a weight and a remedy") {
  const std::string bad =
      "\xEF\xBB\xBFversion : STSv1\n\n x\n<html>\nnonsense\nversion: 2\nversion: 2\nmode: x\n"
      "max_age: y\nmx: *\nmx: mx.example.\n-a: 1\nfoo:\nfoo: \x01\n";
  std::set<std::string> codes;
  for (const std::string& body :
       {bad, std::string("a: b\n"), std::string(),
        std::string("version: STSv1\nmode: enforce\nmax_age: 99999999\nmx: *\n"),
        std::string("version: STSv1\nmode: enforce\nmax_age: 1\nmx: stra\xC3\x9F"
                    "e.example\n"),
        std::string("version: STSv1\nmode: enforce\nmax_age: 1\n"), std::string(70000, 'x')}) {
    for (const Lint& each : lint(body, [](std::string_view) { return "xn--strae-oqa.example"; })) {
      CAPTURE(each.code);
      CHECK_FALSE(remedy(each.code).empty());
      codes.insert(each.code);
    }
  }
  CHECK(codes.size() == 24);
  const auto lines = lint(policy_text("enforce") + "\nmx: b.example.\n", {});
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].line == 5);
  CHECK(name(lines[0].weight) == "strict");
  CHECK(lines[1].code == "trailing-dot");
  CHECK(lines[1].line == 6);
}

}  // namespace
