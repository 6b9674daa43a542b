#include "relay/control/overrides.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "conf/config.h"
#include "relay/control/control_actions.h"
#include "tests/relay/spool/fixture.h"

namespace {

using namespace relay::control;
using namespace relay::spool::testing;
using relay::spool::PolicyOverride;
using relay::spool::StoreFault;
using Json = nlohmann::ordered_json;

OverrideSet exemption() {
  OverrideSet request;
  request.domain = "Old.Example";
  request.level = "opportunistic";
  request.until = "2026-12-31";
  request.reason = "ticket 123";
  request.by = "uid:1000";
  return request;
}

const relay::net::WallTime kNow{std::chrono::sys_days{std::chrono::year{2026} / 2 / 2}};

TEST_CASE("an override is checked as the configuration is, and gets its canonical form") {
  const auto rule = to_override(exemption(), kNow);
  REQUIRE(rule);
  CHECK(rule->domain == "old.example");
  CHECK(rule->level == "opportunistic");
  CHECK(rule->until ==
        relay::net::WallTime{std::chrono::sys_days{std::chrono::year{2027} / 1 / 1}});
  CHECK(rule->reason == "ticket 123");
  CHECK(rule->by == "uid:1000");
  CHECK(rule->set_at == kNow);
  CHECK(rule->effect == PolicyOverride::Effect::enforced);
  OverrideSet pin;
  pin.domain =
      "*.b\xc3\xbc"
      "cher.example.";
  pin.mx = {"*.Bank.example", "mx.example"};
  pin.report_only = true;
  const auto pinned = to_override(pin, kNow);
  REQUIRE(pinned);
  CHECK(pinned->domain == "*.xn--bcher-kva.example");
  CHECK(pinned->level == "verify");
  CHECK(pinned->mx == std::vector<std::string>{"*.bank.example", "mx.example"});
  CHECK(pinned->effect == PolicyOverride::Effect::report_only);
}

TEST_CASE("an override that is wrong is refused with what is wrong") {
  struct Row {
    void (*change)(OverrideSet&);
    const char* said;
  };
  const std::vector<Row> rows{
      {[](OverrideSet& r) { r.domain = "a b"; }, "domain: \"a b\" is no policy domain"},
      {[](OverrideSet& r) { r.domain = "*"; }, "domain: \"*\" is no policy domain"},
      {[](OverrideSet& r) { r.level = "strict"; }, "level: \"strict\" is not known; write one of"},
      {[](OverrideSet& r) { r.until.clear(); },
       "until: level opportunistic exempts the domain from its TLS policies; say until when"},
      {[](OverrideSet& r) { r.reason.clear(); },
       "reason: level opportunistic exempts the domain from its TLS policies; say why"},
      {[](OverrideSet& r) { r.until = "soon"; }, "until: \"soon\" is no date"},
      {[](OverrideSet& r) { r.until = "2026-02-01"; }, "until: \"2026-02-01\" is over already"},
      {[](OverrideSet& r) { r.reason = "a\nb"; }, "control characters"},
      {[](OverrideSet& r) {
         r.mx = {"mx.example", "mx"};
         r.level = "verify";
       },
       ""},
      {[](OverrideSet& r) { r.mx = {"192.0.2.1"}; }, "mx: \"192.0.2.1\" is no MX host"},
      {[](OverrideSet& r) { r.mx = {"mx.example"}; }, "level: opportunistic contradicts mx"},
      {[](OverrideSet& r) { r.fingerprints = {"12"}; }, "fingerprint: \"12\" is no SHA-256"},
      {[](OverrideSet& r) { r.level.clear(); }, "old.example: says nothing"},
  };
  for (const Row& row : rows) {
    OverrideSet request = exemption();
    row.change(request);
    CAPTURE(row.said);
    const auto rule = to_override(request, kNow);
    REQUIRE(rule.has_value() == (*row.said == '\0'));
    if (!rule) {
      CHECK(rule.error().find(row.said) != std::string::npos);
    }
  }
}

TEST_CASE("override requests come back from their lines, and are signed by the server alone") {
  for (const std::string line :
       {R"({"command":"override list"})", R"({"command":"override remove","domain":"a.example"})",
        R"({"command":"override set","domain":"a.example","level":"verify","mx":["a","b"],)"
        R"("fingerprints":["c"],"until":"2026-12-31","reason":"x","report_only":true})",
        R"({"command":"override set","domain":"a.example"})"}) {
    CAPTURE(line);
    auto request = parse_request(line);
    REQUIRE(request);
    sign(*request, 1000);
    CHECK(to_line(*request) == line + "\n");
  }
  struct Row {
    const char* line;
    const char* said;
  };
  for (const Row& row :
       std::vector<Row>{{R"({"command":"override set","domain":"a.example","by":"uid:0"})",
                         "\"by\" is no member of this request"},
                        {R"({"command":"override set"})", "\"domain\" is missing"},
                        {R"({"command":"override set","domain":"a.example","mx":"b"})",
                         "\"mx\" must be a list of texts"},
                        {R"({"command":"override set","domain":"a.example","mx":[1]})",
                         "\"mx\" must be a list of texts"},
                        {R"({"command":"override set","domain":"a.example","report_only":1})",
                         "\"report_only\" must be true or false"},
                        {R"({"command":"override remove"})", "\"domain\" is missing"}}) {
    CAPTURE(row.line);
    const auto request = parse_request(row.line);
    REQUIRE_FALSE(request);
    CHECK(request.error().find(row.said) != std::string::npos);
  }
  auto set = parse_request(R"({"command":"override set","domain":"a.example"})");
  sign(*set, 1000);
  CHECK(std::get<OverrideSet>(*set).by == "uid:1000");
  sign(*set, std::nullopt);
  CHECK(std::get<OverrideSet>(*set).by.empty());
}

/// A daemon that stores overrides and does nothing else.
class Subject {
 public:
  Subject() {
    DaemonActions daemon;
    daemon.set_override = [this](PolicyOverride rule, auto done) {
      if (fault) {
        thread.loop().post([this, done] { done(tl::unexpected(*fault)); });
      } else {
        spool->save_override(std::move(rule), thread.loop(), std::move(done));
      }
    };
    daemon.remove_override = [this](const std::string& domain, const std::string& by,
                                    DaemonActions::Counted done) {
      removed_by = by;
      spool->remove_override(domain, thread.loop(), std::move(done));
    };
    actions = std::make_unique<ControlActions>(*reader, clock, std::move(daemon));
  }
  Response execute(const Request& request) {
    return thread.ask<Response>([&](std::function<void(Response)> answer) {
      actions->execute(request, std::move(answer));
    });
  }

  ManualClock clock;
  TemporaryDirectory directory;
  std::unique_ptr<relay::spool::Spool> spool = open_spool(directory.spool(), clock);
  std::unique_ptr<relay::spool::SpoolReader> reader = open_reader(directory.spool());
  std::optional<StoreFault> fault;
  std::string removed_by;
  std::unique_ptr<ControlActions> actions;
  LoopThread thread;
};

TEST_CASE("overrides are set, listed and removed") {
  Subject subject;
  const Response set = subject.execute(exemption());
  REQUIRE(set.error == "");
  const Json view = Json::parse(set.data);
  CHECK(view["domain"] == "old.example");
  CHECK(view["until"] == "2027-01-01T00:00:00Z");
  CHECK(view["by"] == "uid:1000");
  CHECK(view["report_only"] == false);
  CHECK(view["over"] == false);
  CHECK(Json::parse(subject.execute(OverrideList{}).data)["overrides"] == Json::array({view}));
  subject.clock.set_wall(
      relay::net::WallTime{std::chrono::sys_days{std::chrono::year{2027} / 1 / 1}});
  CHECK(Json::parse(subject.execute(OverrideList{}).data)["overrides"][0]["over"] == true);

  CHECK(subject.execute(OverrideRemove{"OLD.example", "uid:7"}).data ==
        R"({"removed":"old.example"})");
  CHECK(subject.removed_by == "uid:7");
  CHECK(subject.execute(OverrideRemove{"old.example", ""})
            .error.find("there is no override of old.example") == 0);
  CHECK(Json::parse(subject.execute(OverrideList{}).data)["overrides"].empty());
}

TEST_CASE("what cannot be stored is told") {
  Subject subject;
  subject.fault = StoreFault{StoreFault::Kind::disk_full, "no room"};
  CHECK(subject.execute(exemption()).error == "the spool cannot be used: no room");
  OverrideSet wrong = exemption();
  wrong.level = "strict";
  CHECK(subject.execute(wrong).error.find("level: \"strict\" is not known") == 0);
}

TEST_CASE("status tells the default, exemptions, ended rules and what would have been refused") {
  const auto config = conf::parse(R"(
tls_policy:
  default: verify
  domains:
    a.example: {level: none, until: 2026-02-03, reason: "ticket 1"}
    b.example: {level: none, until: 2026-01-31, reason: "ticket 2"}
    c.example: {level: none, until: 2026-01-20, reason: "ticket 3"}
)");
  REQUIRE(config);
  StatusFacts facts;
  facts.rules = std::make_shared<const relay::delivery::LocalRules>(
      relay::delivery::LocalRules::Sources{config->tls_policy, {}, {}});
  facts.would_refuse = 3;
  facts.would_refuse_domains = {{"d.example", 3}};
  const Json view = tls_policy_view(facts, kNow);
  CHECK(view["default"] == "verify");
  CHECK(view["report_only"] == false);
  CHECK(view["rules"] == 3);
  CHECK(view["preloaded"] == 0);
  CHECK(view["exemptions"] == Json::array({{{"domain", "a.example"},
                                            {"level", "none"},
                                            {"until", "2026-02-04T00:00:00Z"},
                                            {"reason", "ticket 1"},
                                            {"report_only", false},
                                            {"rule", "tls_policy.domains.a.example"}}}));
  REQUIRE(view["ended"].size() == 1);
  CHECK(view["ended"][0]["domain"] == "b.example");
  CHECK(view["would_refuse"]["total"] == 3);
  CHECK(view["would_refuse"]["domains"][0]["domain"] == "d.example");
}

}  // namespace
