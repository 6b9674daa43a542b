#include "sts/discovery.h"

#include <functional>
#include <map>
#include <set>

#include <doctest/doctest.h>

#include "tests/sts/discovery_fixture.h"
#include "tests/sts/rows.h"

namespace {

using namespace sts::testing;

}  // namespace

TEST_CASE("each event means for enforce, testing, none and expired what the table says") {
  struct Event {
    std::string what;
    sts::RecordResult record;
    std::optional<sts::FetchResult> https;
    std::string fault;
    std::string fetched_mode;  // of the policy that takes over; empty: none does
  };
  const std::vector<Event> events = {
      {"TXT gone", sts::RecordAbsent{}, {}, "", ""},
      {"TXT SERVFAIL", sts::RecordFailure{"SERVFAIL"}, {}, "", ""},
      {"TXT malformed", sts::RecordAnswer{{"v=STSv1; id=a_b"}}, {}, "", ""},
      {"two TXT", sts::RecordAnswer{{"v=STSv1; id=2", "v=STSv1; id=3"}}, {}, "", ""},
      {"unrelated TXT", sts::RecordAnswer{{"v=spf1 -all"}}, {}, "", ""},
      {"new enforce", txt("2"), ok(body("enforce")), "", "enforce"},
      {"new testing", txt("2"), ok(body("testing")), "", "testing"},
      {"new none", txt("2"), ok("version: STSv1\nmode: none\nmax_age: 60\n"), "", "none"},
      {"fetch failed", txt("2"), sts::HttpFailure{false, "timeout"}, "fetch timeout", ""},
      {"404", txt("2"), status(404), "fetch http-404", ""},
      {"bad certificate", txt("2"), sts::HttpFailure{true, "X509_V_ERR_CERT_HAS_EXPIRED"},
       "webpki X509_V_ERR_CERT_HAS_EXPIRED", ""},
      {"bad body", txt("2"), ok("version: STSv1\nmode: enforce\nmax_age: 1\n"), "invalid no-mx",
       ""},
  };
  for (const std::string cached : {"enforce", "testing", "none", "expired", "never seen"}) {
    for (const Event& event : events) {
      CAPTURE(cached);
      CAPTURE(event.what);
      Domain domain;
      const bool unexpired = cached != "expired" && cached != "never seen";
      if (cached != "never seen") {
        domain.know("1", unexpired ? cached : "enforce", "86400");
        domain.now += unexpired ? hours{1} : hours{24};
      }
      const auto verdict = domain.deliver(event.record, event.https);
      CHECK(domain.fetched == event.https.has_value());
      const bool replaced = !event.fetched_mode.empty();
      CHECK(mode(verdict) == (replaced ? event.fetched_mode : unexpired ? cached : "no policy"));
      CHECK(verdict.source == (replaced    ? Source::fetched
                               : unexpired ? Source::cache
                                           : Source::none));
      // Whoever said none is silent about a refresh that fails.
      CHECK(fault(verdict) == (cached == "none" ? "" : event.fault));
      CHECK((verdict.store != nullptr) == replaced);
      CHECK_FALSE(verdict.note.empty());
      // What was good stays good for the next delivery.
      CHECK((domain.cache.find(kDomain, domain.now) != nullptr) == (replaced || unexpired));
    }
  }
}

TEST_CASE("the decisions of the cache flow are those of the conformance rows") {
  const std::map<std::string, std::function<void(Domain&)>> decisions = {
      {"S01",
       [](Domain& domain) {
         const auto verdict = domain.deliver(sts::RecordAbsent{});
         CHECK(mode(verdict) == "no policy");
         CHECK(fault(verdict).empty());
         CHECK(domain.cache.size() == 0);
       }},
      {"S02",
       [](Domain& domain) {
         const auto verdict = domain.deliver(txt("1"), ok(body("enforce")));
         CHECK(mode(verdict) == "enforce");
         CHECK(verdict.store == verdict.policy);
         CHECK(verdict.store->id == "1");
         CHECK(verdict.store->domain == kDomain);
         CHECK(verdict.store->fetched_at == kNow);
         CHECK(verdict.store->expires_at == kNow + seconds{604800});
         CHECK(verdict.store->policy.body == body("enforce"));
       }},
      {"S04",
       [](Domain& domain) {
         domain.know("1", "enforce");
         const auto verdict = domain.deliver(txt("2"), ok(body("enforce", "86400")));
         CHECK(verdict.source == Source::fetched);
         CHECK(domain.cache.find(kDomain, domain.now)->id == "2");
       }},
      {"S05",
       [](Domain& domain) {
         domain.know("1", "enforce");
         CHECK(fault(domain.deliver(txt("2"), status(503))) == "fetch http-503");
         domain.now += minutes{5} - seconds{1};
         const auto waiting = domain.deliver(txt("2"));
         CHECK(mode(waiting) == "enforce");
         CHECK(fault(waiting) == "fetch http-503");
         CHECK_FALSE(waiting.backoff);
         domain.now += seconds{1};
         CHECK(mode(domain.deliver(txt("2"), ok(body("testing")))) == "testing");
         CHECK(domain.cache.backoff(kDomain) == nullptr);
       }},
      {"S07",
       [](Domain& domain) {
         domain.know("1", "enforce");
         const auto verdict = domain.deliver(sts::RecordAbsent{});
         CHECK(mode(verdict) == "enforce");
         CHECK(verdict.record_fault.find("absent") != std::string::npos);
         domain.know("2", "none");
         CHECK(domain.deliver(sts::RecordAbsent{}).record_fault.empty());
       }},
      {"S08",
       [](Domain& domain) {
         domain.know("1", "enforce");
         const auto verdict = domain.deliver(sts::RecordFailure{"SERVFAIL"});
         CHECK(mode(verdict) == "enforce");
         CHECK(verdict.record_fault.find("SERVFAIL") != std::string::npos);
       }},
      {"S10",
       [](Domain& domain) {
         domain.know("1", "enforce");
         CHECK(mode(domain.deliver(sts::RecordAnswer{{"v=STSv1; bogus"}})) == "enforce");
       }},
      {"S11",
       [](Domain& domain) {
         domain.know("1", "enforce");
         CHECK(mode(domain.deliver(txt("1"))) == "enforce");
         CHECK_FALSE(domain.fetched);
       }},
      {"S13",
       [](Domain& domain) {
         domain.know("1", "enforce");
         CHECK(mode(domain.deliver(txt("2"), ok(body("testing")))) == "testing");
         CHECK(mode(domain.deliver(txt("2"))) == "testing");
       }},
      {"S14",
       [](Domain& domain) {
         domain.know("1", "enforce", "31557600");
         CHECK(mode(domain.deliver(txt("2"), ok(body("enforce", "60")))) == "enforce");
         CHECK(domain.cache.find(kDomain, kNow)->expires_at == kNow + seconds{60});
       }},
      {"S16",
       [](Domain& domain) {
         domain.know("1", "enforce", "60");
         domain.now += seconds{60};
         const auto verdict = domain.deliver(txt("1"), ok(body("enforce", "60")));
         CHECK(mode(verdict) == "enforce");
         CHECK(verdict.store->expires_at == kNow + seconds{120});
       }},
      {"S17",
       [](Domain& domain) {
         domain.know("1", "enforce", "60");
         domain.now += seconds{60};
         CHECK(mode(domain.deliver(sts::RecordAbsent{})) == "no policy");
         const auto lost = domain.cache.take_expired(kDomain, domain.now);
         REQUIRE(lost != nullptr);
         CHECK(lost->domain == kDomain);
       }},
      {"S19",
       [](Domain& domain) {
         domain.know("1", "enforce");
         domain.now += hours{20};
         for (const sts::RecordResult& record :
              {sts::RecordResult{sts::RecordAbsent{}}, sts::RecordResult{sts::RecordFailure{"x"}},
               sts::RecordResult{sts::RecordAnswer{{"v=STSv1; bogus"}}}}) {
           domain.now += minutes{1};
           const auto verdict =
               domain.look(sts::Purpose::refresh, record, ok(body("enforce", "86400")));
           REQUIRE(verdict.store != nullptr);
           CHECK(verdict.store->id == "1");
           CHECK(verdict.store->fetched_at == domain.now);
           CHECK(verdict.store->expires_at == domain.now + hours{24});
         }
       }},
      {"S22",
       [](Domain& domain) {
         const auto verdict = domain.deliver(txt("1"), ok(body("enforce", "0")));
         CHECK(mode(verdict) == "enforce");
         CHECK(verdict.store == nullptr);
         CHECK(domain.cache.size() == 0);
       }},
      {"S28",
       [](Domain& domain) {
         CHECK(fault(domain.deliver(txt("1"), status(500))) == "fetch http-500");
         domain.now += minutes{1};
         CHECK(fault(domain.deliver(txt("2"), status(500))) == "fetch http-500");
         domain.now += minutes{1} - seconds{1};
         CHECK(fault(domain.deliver(txt("3"))) == "fetch http-500");
         CHECK_FALSE(domain.fetched);
       }},
      {"S29",
       [](Domain& domain) {
         domain.know("1", "enforce");
         CHECK(domain.deliver(txt("2"), ok(body("enforce"))).store->id == "2");
         domain.now += minutes{5} - seconds{1};
         CHECK(domain.deliver(txt("2")).source == Source::cache);
         domain.now += seconds{1};
         CHECK(domain.deliver(txt("2"), ok(body("enforce"))).source == Source::fetched);
         domain.now += minutes{55} - seconds{1};
         CHECK(domain.deliver(txt("2")).source == Source::cache);
         domain.now += seconds{1};
         CHECK(domain.deliver(txt("2"), ok(body("enforce"))).source == Source::fetched);
         domain.now += hours{24};
         CHECK(domain.deliver(txt("2")).source == Source::cache);
         CHECK(domain.cache.backoff(kDomain) == nullptr);
       }},
      {"S31",
       [](Domain& domain) {
         domain.know("1", "enforce");
         // The delivery that the policy was just fetched for would only see it again.
         CHECK_FALSE(domain.cache.may_recheck(kDomain, domain.now));
         CHECK(domain.deliver(txt("1")).source == Source::cache);
         REQUIRE(domain.cache.may_recheck(kDomain, domain.now));
         const auto verdict = domain.look(sts::Purpose::recheck, txt("1"), ok(body("testing")));
         CHECK(mode(verdict) == "testing");
         CHECK(verdict.store->id == "1");
         domain.cache.note_recheck(kDomain, domain.now);
         CHECK(domain.deliver(txt("1")).source == Source::cache);
         CHECK(domain.deliver(txt("1")).source == Source::cache);
         domain.now += hours{1} - seconds{1};
         CHECK_FALSE(domain.cache.may_recheck(kDomain, domain.now));
         domain.now += seconds{1};
         CHECK(domain.cache.may_recheck(kDomain, domain.now));
         // Without a record there is nothing to tell what to fetch.
         CHECK(domain.look(sts::Purpose::recheck, sts::RecordAbsent{}).source == Source::cache);
       }},
  };
  // S20 is a row of the refresh's tests, S34 and S35 are rows of the cache's own tests. The rest
  // needs what is no decision: a disk, DNS and HTTPS under load, or a refresh in the background.
  const std::set<std::string> elsewhere = {"S20", "S23", "S25", "S26", "S32", "S34", "S35", "S37"};
  for (const YAML::Node& row : rows("cache_flow")) {
    const auto id = row["id"].as<std::string>();
    const std::string words = id + ": " + row["state"].as<std::string>() + "; " +
                              row["event"].as<std::string>() + " -> " +
                              row["expect"].as<std::string>();
    const auto decision = decisions.find(id);
    CHECK_MESSAGE((decision != decisions.end()) != (elsewhere.count(id) != 0), words);
    SUBCASE(words.c_str()) {
      if (decision != decisions.end()) {
        Domain domain;
        decision->second(domain);
      }
    }
  }
}

TEST_CASE("only a complete 200 of text/plain up to 64 KiB is read as a policy") {
  struct Row {
    sts::HttpAnswer answer;
    std::string fault;
  };
  std::string large = body("enforce") + "note: ";
  large.resize(65536, 'x');
  const std::string good = body("enforce");
  const std::vector<Row> table = {
      {{200, "text/plain", good}, ""},
      {{200, "text/plain; charset=utf-8", good}, ""},
      {{200, "TEXT/Plain ;charset=iso-8859-1", good}, ""},
      {{200, "text/plain", large}, ""},
      {{200, "text/plain", large + "x"}, "fetch policy-too-large"},
      {{200, "text/html", good}, "fetch media-type"},
      {{200, "application/octet-stream", good}, "fetch media-type"},
      {{200, "text/plainx", good}, "fetch media-type"},
      {{200, "", good}, "fetch media-type"},
      {{201, "text/plain", good}, "fetch http-201"},
      {{204, "", ""}, "fetch http-204"},
      {{206, "text/plain", good}, "fetch http-206"},
      {{301, "text/plain", good}, "fetch http-301"},
      {{304, "text/plain", good}, "fetch http-304"},
      {{403, "text/html", "no"}, "fetch http-403"},
      {{503, "text/plain", good}, "fetch http-503"},
      {{200, "text/plain", "<html>404</html>"}, "invalid html"},
      {{200, "text/plain", ""}, "invalid empty-body"},
      {{200, "text/plain", "version: STSv1\nmode: Enforce\nmx: a.example\nmax_age: 1\n"},
       "invalid bad-mode"}};
  for (const auto& [answer, expected] : table) {
    CAPTURE(answer.content_type);
    CAPTURE(answer.status);
    Domain domain;
    CHECK(fault(domain.deliver(txt("1"), answer)) == expected);
  }
}

TEST_CASE("tolerated faults of a body are handed on as diagnostics") {
  Domain domain;
  const auto verdict = domain.deliver(txt("1"), ok("\n" + body("enforce")));
  CHECK(mode(verdict) == "enforce");
  REQUIRE(verdict.diagnostics.size() == 1);
  CHECK(verdict.diagnostics[0].code == "empty-line");
}

TEST_CASE("failed fetches for one id are repeated after 5 minutes, doubling up to 6 hours") {
  Domain domain;
  for (const int wait : {5, 10, 20, 40, 80, 160, 320, 360, 360}) {
    const auto failed = domain.deliver(txt("1"), status(500));
    REQUIRE(failed.backoff);
    CHECK(failed.backoff->retry_at == domain.now + minutes{wait});
    domain.now += minutes{wait} - seconds{1};
    CHECK(fault(domain.deliver(txt("1"))) == "fetch http-500");
    CHECK_FALSE(domain.fetched);
    domain.now += seconds{1};
  }
}

TEST_CASE("a back-off ends when the clock is set back before its beginning") {
  Domain domain;
  CHECK(domain.deliver(txt("1"), status(500)).backoff);
  domain.now -= hours{24};
  CHECK(mode(domain.deliver(txt("1"), ok(body("enforce")))) == "enforce");
}

TEST_CASE("a policy of max_age 0 takes the place of the cached one and is gone itself") {
  Domain domain;
  domain.know("1", "enforce");
  const auto verdict = domain.deliver(txt("2"), ok("version: STSv1\nmode: none\nmax_age: 0\n"));
  CHECK(mode(verdict) == "none");
  CHECK(verdict.store == nullptr);
  CHECK(verdict.forget);
  CHECK(mode(domain.deliver(sts::RecordAbsent{})) == "no policy");
}

TEST_CASE("removal: none with a small max_age replaces enforce and expires quietly") {
  Domain domain;
  domain.know("1", "enforce", "31557600");
  CHECK(mode(domain.deliver(txt("2"), ok("version: STSv1\nmode: none\nmax_age: 86400\n"))) ==
        "none");
  domain.now += hours{24};
  const auto verdict = domain.deliver(sts::RecordAbsent{});
  CHECK(mode(verdict) == "no policy");
  CHECK(fault(verdict).empty());
}

TEST_CASE("a second look finds the policy that came after its id") {
  Domain domain;
  domain.know("1", "enforce");
  CHECK(domain.deliver(txt("2"), ok(body("enforce"))).backoff);
  domain.now += minutes{5};
  CHECK(mode(domain.deliver(txt("2"), ok(body("testing")))) == "testing");
  CHECK(domain.cache.backoff(kDomain) == nullptr);
}

TEST_CASE("S29: a second look that fails keeps the policy, and the last one is still made") {
  Domain domain;
  domain.know("1", "enforce");
  CHECK(domain.deliver(txt("2"), ok(body("enforce"))).backoff);
  domain.now += minutes{5};
  CHECK(fault(domain.deliver(txt("2"), status(500))) == "fetch http-500");
  domain.now += minutes{5};
  domain.fetched = false;
  CHECK(mode(domain.deliver(txt("2"))) == "enforce");
  CHECK_FALSE(domain.fetched);
  domain.now += hours{1};
  CHECK(mode(domain.deliver(txt("2"), ok(body("testing")))) == "testing");
}

TEST_CASE("a second look that is due does not keep an expired policy from being fetched") {
  Domain domain;
  domain.know("1", "enforce", "60");
  CHECK(domain.deliver(txt("2"), ok(body("enforce", "60"))).backoff);
  domain.now += seconds{60};
  CHECK(mode(domain.deliver(txt("2"), ok(body("enforce", "60")))) == "enforce");
  CHECK(domain.fetched);
}

TEST_CASE("a delivery that waits no longer gets what is cached, and the fault once TXT is known") {
  for (const bool cached : {false, true}) {
    CAPTURE(cached);
    Domain domain;
    if (cached) {
      domain.know("1", "enforce");
    }
    sts::Discovery discovery{kDomain, domain.cache.find(kDomain, kNow), nullptr};
    (void)discovery.start();
    CHECK(mode(discovery.without_waiting()) == (cached ? "enforce" : "no policy"));
    CHECK(fault(discovery.without_waiting()).empty());
    (void)discovery.on_record(txt("2"), kNow);
    CHECK(mode(discovery.without_waiting()) == (cached ? "enforce" : "no policy"));
    CHECK(fault(discovery.without_waiting()) == "fetch timeout");
    CHECK_FALSE(discovery.without_waiting().backoff);
    const auto late = std::get<sts::PolicyVerdict>(discovery.on_policy(ok(body("testing")), kNow));
    CHECK(mode(late) == "testing");
  }
}

TEST_CASE("a back-off is up to a quarter longer by chance, never shorter") {
  for (const double jitter : {0.0, 0.5, 0.99}) {
    CAPTURE(jitter);
    sts::Approach approach;
    approach.jitter = jitter;
    sts::Discovery discovery{kDomain, nullptr, nullptr, {}, approach};
    (void)discovery.start();
    (void)discovery.on_record(txt("1"), kNow);
    const auto verdict = std::get<sts::PolicyVerdict>(discovery.on_policy(status(500), kNow));
    REQUIRE(verdict.backoff);
    CHECK(verdict.backoff->tried_at == kNow);
    const auto wait = verdict.backoff->retry_at - kNow;
    CHECK(wait >= minutes{5});
    CHECK(wait <= minutes{5} + seconds{75});
    CHECK((wait > minutes{5}) == (jitter > 0));
  }
}

TEST_CASE("A25: hold keeps mail until the first policy came, unless one is cached") {
  for (const bool hold : {false, true}) {
    for (const bool cached : {false, true}) {
      CAPTURE(hold);
      CAPTURE(cached);
      Domain domain;
      if (cached) {
        domain.know("1", "enforce");
      }
      sts::Approach approach;
      approach.first_contact = hold ? sts::FirstContact::hold : sts::FirstContact::deliver;
      sts::Discovery discovery{kDomain, domain.cache.find(kDomain, kNow), nullptr, {}, approach};
      (void)discovery.start();
      CHECK(discovery.without_waiting().hold.empty() == (!hold || cached));
      (void)discovery.on_record(txt("2"), kNow);
      const std::string sentence = discovery.without_waiting().hold;
      CHECK(sentence.empty() == (!hold || cached));
      if (hold && !cached) {
        CHECK(sentence.find("rcpt.example") != std::string::npos);
      }
      // An answer, even a bad one, ends the waiting: RFC 8461 section 3.3.
      CHECK(std::get<sts::PolicyVerdict>(discovery.on_policy(status(404), kNow)).hold.empty());
    }
  }
}

TEST_CASE("with nothing cached a TXT record that cannot be looked up defers mail only on request") {
  for (const bool defer : {false, true}) {
    for (const bool cached : {false, true}) {
      CAPTURE(defer);
      CAPTURE(cached);
      Domain domain;
      if (cached) {
        domain.know("1", "enforce");
      }
      sts::Approach approach;
      approach.on_dns_failure = defer ? sts::OnDnsFailure::defer : sts::OnDnsFailure::proceed;
      const auto verdict = [&](const sts::RecordResult& record) {
        sts::Discovery discovery{kDomain, domain.cache.find(kDomain, kNow), nullptr, {}, approach};
        (void)discovery.start();
        return std::get<sts::PolicyVerdict>(discovery.on_record(record, kNow));
      };
      const std::string hold = verdict(sts::RecordFailure{"SERVFAIL"}).hold;
      CHECK(hold.empty() == (!defer || cached));
      CHECK((hold.find("SERVFAIL") != std::string::npos) == (defer && !cached));
      CHECK(verdict(sts::RecordAbsent{}).hold.empty());
    }
  }
}
