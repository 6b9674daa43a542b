#include "relay/delivery/rule_book.h"

#include <algorithm>
#include <array>
#include <fcntl.h>
#include <memory>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "conf/config.h"
#include "tests/relay/spool/fixture.h"

namespace {

using namespace relay::delivery;
using namespace relay::spool::testing;
using relay::spool::PolicyOverride;
using relay::spool::Stored;
using std::chrono::hours;

/// A rule book on a loop of its own, over a spool that survives it.
class Subject {
 public:
  Subject() {
    REQUIRE(::pipe2(ends_.data(), O_NONBLOCK | O_CLOEXEC) == 0);
    log_ = std::make_unique<relay::Log>(conf::Logging{}, ends_[1]);
    start();
  }
  ~Subject() {
    stop();
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  void start() {
    spool_ = open_spool(directory_.spool(), clock);
    const auto stored = open_reader(directory_.spool())->overrides();
    REQUIRE(stored);
    on_loop([&] {
      book_ = std::make_unique<RuleBook>(RuleBook::Parts{thread_.loop(), clock, *spool_, *log_},
                                         policy, conf::Preload{}, *stored);
      book_->on_change(
          [this](const std::shared_ptr<const LocalRules>& rules) { published.push_back(rules); });
    });
  }
  void stop() {
    on_loop([this] { book_.reset(); });
    spool_.reset();
  }
  Stored<void> set(const PolicyOverride& rule) {
    return thread_.ask<Stored<void>>(
        [&](std::function<void(Stored<void>)> done) { book_->set(rule, std::move(done)); });
  }
  Stored<std::size_t> remove(const std::string& domain) {
    return thread_.ask<Stored<std::size_t>>([&](std::function<void(Stored<std::size_t>)> done) {
      book_->remove(domain, "uid:7", std::move(done));
    });
  }
  void on_loop(const std::function<void()>& action) {
    thread_.ask<bool>([&](const std::function<void(bool)>& done) {
      action();
      done(true);
    });
  }
  /// What the loop's timer does in time, at once.
  void look_for_ends() {
    on_loop([this] { book_->configure(policy, {}); });
    REQUIRE(remove("barrier.example"));  // what was handed to the spool before is on disk
  }
  std::string origin(const char* domain) {
    return book_->rules()->find(domain, clock.wall())->origin;
  }
  std::vector<PolicyOverride> stored() { return *open_reader(directory_.spool())->overrides(); }
  void announce() {
    on_loop([this] { book_->announce(); });
  }
  /// The lines with this event that were logged since the last call.
  std::vector<std::string> logged(const std::string& event) {
    std::array<char, 8192> buffer{};
    for (auto count = ::read(ends_[0], buffer.data(), buffer.size()); count > 0;
         count = ::read(ends_[0], buffer.data(), buffer.size())) {
      text_.append(buffer.data(), static_cast<std::size_t>(count));
    }
    std::vector<std::string> lines;
    for (auto end = text_.find('\n'); end != std::string::npos; end = text_.find('\n')) {
      std::string line = text_.substr(0, end);
      text_.erase(0, end + 1);
      if (line.find(" event=" + event + " ") != std::string::npos ||
          line.find(" " + event + " ") != std::string::npos) {
        lines.push_back(std::move(line));
      }
    }
    return lines;
  }

  ManualClock clock;
  conf::TlsPolicy policy;
  std::vector<std::shared_ptr<const LocalRules>> published;

 private:
  TemporaryDirectory directory_;
  std::array<int, 2> ends_{-1, -1};
  std::string text_;
  std::unique_ptr<relay::Log> log_;
  std::unique_ptr<relay::spool::Spool> spool_;
  LoopThread thread_;
  std::unique_ptr<RuleBook> book_;
};

PolicyOverride exemption(const std::string& domain, relay::net::WallTime until) {
  PolicyOverride rule;
  rule.domain = domain;
  rule.level = "opportunistic";
  rule.until = until;
  rule.reason = "ticket 123";
  rule.by = "uid:1000";
  return rule;
}

bool holds(const std::string& line, const std::vector<std::string>& words) {
  return std::ranges::all_of(
      words, [&](const std::string& word) { return line.find(word) != std::string::npos; });
}

TEST_CASE("an override is on disk and in force when its setter hears of it, and stays so") {
  Subject subject;
  CHECK(subject.origin("a.example") == "tls_policy.default");
  REQUIRE(subject.set(exemption("a.example", subject.clock.wall() + hours(1))));
  CHECK(subject.origin("a.example") == "override");
  REQUIRE(subject.published.size() == 1);
  CHECK(subject.published[0]->find("a.example", subject.clock.wall())->origin == "override");
  const auto lines = subject.logged("policy-override");
  REQUIRE(lines.size() == 1);
  CHECK(holds(lines[0], {"action=set", "domain=a.example", "by=uid:1000", "tls_level=opportunistic",
                         "until=", "reason=\"ticket 123\""}));
  subject.stop();
  subject.start();
  CHECK(subject.origin("a.example") == "override");
  CHECK(subject.logged("policy-override").empty());
}

TEST_CASE("a removed override is gone at once and for good") {
  Subject subject;
  REQUIRE(subject.set(exemption("a.example", subject.clock.wall() + hours(1))));
  CHECK(subject.remove("a.example") == std::size_t{1});
  CHECK(subject.remove("a.example") == std::size_t{0});
  CHECK(subject.origin("a.example") == "tls_policy.default");
  CHECK(subject.published.size() == 2);
  CHECK(subject.stored().empty());
  const auto lines = subject.logged("policy-override");
  REQUIRE(lines.size() == 2);
  CHECK(holds(lines[1], {"action=removed", "domain=a.example", "by=uid:7"}));
}

TEST_CASE("a second override of a domain takes the place of the first") {
  Subject subject;
  REQUIRE(subject.set(exemption("a.example", subject.clock.wall() + hours(1))));
  PolicyOverride verify;
  verify.domain = "a.example";
  verify.level = "verify";
  REQUIRE(subject.set(verify));
  CHECK(subject.stored() == std::vector{verify});
  CHECK(subject.published.back()->size() == 1);
  CHECK(subject.published.back()->find("a.example", subject.clock.wall())->level ==
        LocalLevel::verify);
}

TEST_CASE("the end of an override is logged once, also across restarts, and shown for 7 days") {
  Subject subject;
  const auto end = subject.clock.wall() + hours(1);
  REQUIRE(subject.set(exemption("a.example", end)));
  static_cast<void>(subject.logged("policy-override"));
  subject.clock.advance(hours(1));
  CHECK(subject.origin("a.example") == "tls_policy.default");  // whether anybody looked or not
  subject.look_for_ends();
  const auto lines = subject.logged("policy-override");
  REQUIRE(lines.size() == 1);
  CHECK(holds(lines[0], {"action=over", "domain=a.example"}));
  subject.stop();
  subject.start();
  subject.look_for_ends();
  CHECK(subject.logged("policy-override").empty());
  REQUIRE(subject.stored().size() == 1);
  CHECK(subject.stored()[0].state == PolicyOverride::State::ended);
  subject.clock.advance(hours(24 * 7));
  subject.look_for_ends();
  CHECK(subject.stored().empty());
  CHECK(subject.published.back()->size() == 0);
}

TEST_CASE("an override that ended while nothing ran is logged at the start") {
  Subject subject;
  REQUIRE(subject.set(exemption("a.example", subject.clock.wall() + hours(1))));
  static_cast<void>(subject.logged("policy-override"));
  subject.stop();
  subject.clock.advance(hours(2));
  subject.start();
  const auto lines = subject.logged("policy-override");
  REQUIRE(lines.size() == 1);
  CHECK(holds(lines[0], {"action=over"}));
}

TEST_CASE("start and reload warn of exemptions, of rules that are over, and of report-only") {
  Subject subject;
  // The clock stands on 2026-02-02.
  subject.policy = conf::parse(R"(
tls_policy:
  report_only: true
  domains:
    a.example: {level: none, until: 2026-02-03, reason: "ticket 1"}
    b.example: {level: none, until: 2026-02-01, reason: "ticket 2"}
    c.example: {level: verify}
)")
                       ->tls_policy;
  subject.look_for_ends();
  REQUIRE(subject.set(exemption("d.example", subject.clock.wall() + hours(1))));
  static_cast<void>(subject.logged(""));
  subject.announce();
  subject.announce();
  std::vector<std::string> lines = subject.logged("level=warning");
  REQUIRE(lines.size() == 8);
  lines.resize(4);
  CHECK(holds(lines[0], {"tls-report-only", "NO TLS POLICY IS ENFORCED"}));
  CHECK(holds(lines[1], {"tls-exemption", "domain=d.example", "rule=override"}));
  CHECK(holds(lines[2], {"tls-exemption", "domain=a.example", "until=2026-02-03",
                         "reason=\"ticket 1\"", "rule=tls_policy.domains.a.example"}));
  CHECK(holds(lines[3], {"tls-rule-over", "domain=b.example", "until=2026-02-01"}));
  subject.clock.advance(hours(24 * 2));
  static_cast<void>(subject.logged(""));
  subject.look_for_ends();
  lines = subject.logged("tls-rule-over");
  REQUIRE(lines.size() == 1);
  CHECK(holds(lines[0], {"domain=a.example"}));
}

}  // namespace
