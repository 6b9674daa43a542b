#include "relay/control/control_actions.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "tests/relay/control/subject.h"

namespace {

using namespace relay::control;
using namespace relay::control::testing;

std::vector<std::string> ids(const Json& data) {
  std::vector<std::string> list;
  for (const Json& message : data["messages"]) {
    list.push_back(message["id"]);
  }
  return list;
}

QueueList filtered(std::string domain, std::string sender, std::string recipient) {
  QueueList request;
  request.filter.domain = std::move(domain);
  request.filter.sender = std::move(sender);
  request.filter.recipient = std::move(recipient);
  return request;
}

TEST_CASE("queue list shows messages in order of arrival with their recipients") {
  Subject subject;
  const auto first = subject.put("alice@sender.example", {"a.example", "b.example"});
  const auto second = subject.put("", {"a.example"});
  const Json data = subject.data(QueueList{});
  CHECK(ids(data) == std::vector{first.text(), second.text()});
  CHECK(data["next"].is_null());
  const Json& message = data["messages"][0];
  CHECK(message["sender"] == "alice@sender.example");
  CHECK(message["origin"] == "submitted");
  CHECK(message["size"] == 100);
  CHECK(message["received_at"] == "2026-02-02T02:40:00Z");
  CHECK(message["expires_at"] == "2026-02-06T02:40:00Z");
  CHECK(message["recipient_count"] == 2);
  CHECK(message["recipients"][1]["address"] == "user1@b.example");
  CHECK(message["recipients"][1]["attempts"] == 0);
  CHECK(message["recipients"][1]["next_try"] == "2026-02-02T03:40:00Z");
  CHECK(data["messages"][1]["sender"] == "");
}

TEST_CASE("queue list finds by domain, sender and recipient") {
  Subject subject;
  const auto first = subject.put("Alice@sender.example", {"a.example", "b.example"});
  const auto second = subject.put("bob@sender.example", {"a.example"});
  struct Row {
    QueueList request;
    std::vector<std::string> expected;
  };
  const std::vector<Row> rows{
      {filtered("a.example", "", ""), {first.text(), second.text()}},
      {filtered("B.Example.", "", ""), {first.text()}},
      {filtered("example", "", ""), {}},
      {filtered("", "alice", ""), {first.text()}},
      {filtered("", "", "USER1@"), {first.text()}},
      {filtered("a.example", "bob", "user0"), {second.text()}},
      {filtered("b.example", "bob", ""), {}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.request.filter.domain + "|" + row.request.filter.sender);
    CHECK(ids(subject.data(row.request)) == row.expected);
  }
  const Json one = subject.data(filtered("b.example", "", ""))["messages"][0];
  REQUIRE(one["recipients"].size() == 1);
  CHECK(one["recipients"][0]["domain"] == "b.example");
}

/// All pages of a listing of three messages each.
std::vector<std::vector<std::string>> pages(Subject& subject, QueueList request) {
  std::vector<std::vector<std::string>> all;
  request.limit = 3;
  while (true) {
    const Json data = subject.data(request);
    all.push_back(ids(data));
    if (data["next"].is_null() || all.size() > 10) {
      return all;
    }
    request.after = MessageId::parse(data["next"].get<std::string>());
    REQUIRE(request.after);
  }
}

TEST_CASE("queue list gives page after page until nothing is left") {
  struct Row {
    std::size_t messages, pages;
  };
  for (const Row& row : std::vector<Row>{{2, 1}, {3, 1}, {4, 2}, {6, 2}, {7, 3}}) {
    CAPTURE(row.messages);
    Subject subject;
    std::vector<std::string> stored;
    for (const MessageId id : store_many(*subject.spool, subject.thread, row.messages)) {
      stored.push_back(id.text());
    }
    const auto listed = pages(subject, QueueList{});
    CHECK(listed.size() == row.pages);
    std::vector<std::string> seen;
    for (const auto& page : listed) {
      seen.insert(seen.end(), page.begin(), page.end());
    }
    CHECK(seen == stored);
  }
}

TEST_CASE("queue list: a full page is the last one if nothing after it is asked for") {
  Subject subject;
  for (int i = 0; i < 3; ++i) {
    subject.put("a@sender.example", {"a.example"});
    subject.put("a@sender.example", {"b.example"});
  }
  CHECK(pages(subject, filtered("a.example", "", "")).size() == 1);
  subject.put("a@sender.example", {"a.example"});
  CHECK(pages(subject, filtered("a.example", "", "")).size() == 2);
}

TEST_CASE("queue list only counts what a message has beyond twenty recipients; show has all") {
  Subject subject;
  const auto id = subject.put("a@sender.example", std::vector<std::string>(50, "a.example"));
  const Json listed = subject.data(QueueList{})["messages"][0];
  CHECK(listed["recipients"].size() == 20);
  CHECK(listed["recipient_count"] == 50);
  const Json shown = subject.data(QueueShow{id});
  CHECK(shown["recipients"].size() == 50);
  CHECK(shown["client_ip"] == "192.0.2.1");
}

TEST_CASE("a message that is not there is refused by name") {
  Subject subject;
  const MessageId id(12345);
  for (const Request& request : std::vector<Request>{QueueShow{id}, QueueWhy{id}}) {
    CHECK(subject.execute(request).error.find("no message " + id.text()) == 0);
  }
}

TEST_CASE("policy list and show tell what is cached, also that it has expired") {
  Subject subject;
  subject.save("b.example");
  subject.save("a.example");
  PolicyList request;
  request.limit = 1;
  const Json first = subject.data(request);
  REQUIRE(first["policies"].size() == 1);
  CHECK(first["policies"][0]["domain"] == "a.example");
  CHECK(first["policies"][0]["mode"] == "enforce");
  CHECK(first["policies"][0]["mx"] == Json{"mx.a.example"});
  CHECK(first["policies"][0]["expired"] == false);
  CHECK(first["next"] == "a.example");
  request.after = "a.example";
  const Json second = subject.data(request);
  CHECK(second["policies"][0]["domain"] == "b.example");
  CHECK(second["next"].is_null());
  subject.clock.advance(std::chrono::hours(24));
  const Json shown = subject.data(PolicyShow{"A.Example."});
  CHECK(shown["expired"] == true);
  CHECK(shown["max_age"] == 86400);
  CHECK(shown["body"].get<std::string>().find("mode: enforce") != std::string::npos);
  CHECK(subject.execute(PolicyShow{"c.example"}).error.find("no policy of c.example") == 0);
}

TEST_CASE("policy show tells when a policy is fetched again and what keeps it from that") {
  Subject subject;
  subject.save("a.example");
  const Json quiet = subject.data(PolicyShow{"a.example"});
  CHECK(subject.asked_about == "a.example");
  CHECK(quiet["refresh_at"].is_null());
  CHECK(quiet["failing"].is_null());
  CHECK(quiet["back_off"].is_null());
  const sts::DiscoveryFault fault{sts::DiscoveryFault::Kind::webpki_invalid, "X509_V_ERR_X"};
  const auto now = subject.clock.wall();
  subject.policy_state.refresh_at = now + std::chrono::hours(2);
  subject.policy_state.failing = {now - std::chrono::hours(1), sts::Alert::info, fault, now};
  subject.policy_state.backoff = {"7", now + std::chrono::hours(1), 3, fault, now};
  const Json failing = subject.data(PolicyShow{"a.example"});
  CHECK(failing["refresh_at"] == "2026-02-02T04:40:00Z");
  CHECK(failing["failing"]["since"] == "2026-02-02T01:40:00Z");
  CHECK(failing["failing"]["fault"] == "webpki-invalid");
  CHECK(failing["failing"]["alert"] == "info");
  CHECK(failing["back_off"]["id"] == "7");
  CHECK(failing["back_off"]["failures"] == 3);
  CHECK(failing["back_off"]["until"] == "2026-02-02T03:40:00Z");
  CHECK(failing["back_off"]["reason"] == "X509_V_ERR_X");
}

TEST_CASE("policy show has what is only in memory") {
  Subject subject;
  auto cached = std::make_shared<sts::CachedPolicy>();
  cached->domain = "memory.example";
  cached->expires_at = subject.clock.wall() + std::chrono::hours(1);
  subject.policy_state.policy = cached;
  CHECK(subject.data(PolicyShow{"memory.example"})["domain"] == "memory.example");
}

TEST_CASE("policy refresh tells what came of it") {
  Subject subject;
  subject.verdict.note = "no valid TXT record: absent";
  CHECK(subject.data(PolicyRefresh{"A.example."})["outcome"] == "nothing");
  CHECK(subject.asked_about == "a.example");
  subject.verdict.fault = {sts::DiscoveryFault::Kind::fetch_error, "timeout"};
  CHECK(subject.data(PolicyRefresh{"a.example"})["outcome"] == "failed");
  auto cached = std::make_shared<sts::CachedPolicy>();
  cached->domain = "a.example";
  cached->policy.mode = sts::Mode::testing;
  subject.verdict = {};
  subject.verdict.policy = cached;
  subject.verdict.source = sts::PolicyVerdict::Source::fetched;
  subject.verdict.diagnostics = {{"empty-line", 3, "line 3 is empty", sts::Severity::tolerated}};
  const Json fetched = subject.data(PolicyRefresh{"a.example"});
  CHECK(fetched["outcome"] == "fetched");
  CHECK(fetched["policy"]["mode"] == "testing");
  CHECK(fetched["diagnostics"][0]["line"] == 3);
  CHECK(subject.execute(PolicyRefresh{"not a name"}).error == "\"not a name\" is no domain name");
}

TEST_CASE("policy history and export have the bodies") {
  Subject subject;
  subject.save("a.example");
  subject.save("b.example");
  subject.spool->forget_policy("a.example", {subject.clock.wall(), "expired"});
  subject.put("after@policy.example", {"flush.example"});
  const Json history = subject.data(PolicyHistory{"A.example"});
  CHECK(history["domain"] == "a.example");
  REQUIRE(history["replaced"].size() == 1);
  CHECK(history["replaced"][0]["why"] == "expired");
  CHECK(history["replaced"][0]["mode"] == "enforce");
  CHECK(history["replaced"][0]["replaced_at"] == "2026-02-02T02:40:00Z");
  CHECK(history["replaced"][0]["body"].get<std::string>().find("mx.a.example") !=
        std::string::npos);
  CHECK(subject.data(PolicyHistory{"c.example"})["replaced"].empty());
  const Json exported = subject.data(PolicyExport{});
  REQUIRE(exported["policies"].size() == 1);
  CHECK(exported["policies"][0]["domain"] == "b.example");
  CHECK(exported["policies"][0]["body"].get<std::string>().find("mx.b.example") !=
        std::string::npos);
  CHECK(exported["next"].is_null());
}

TEST_CASE("status adds the queue's totals to what the daemon knows") {
  Subject subject;
  subject.put("a@sender.example", {"a.example", "b.example"});
  const Json data = subject.data(Status{});
  CHECK(data["hostname"] == "relay.example");
  CHECK(data["listeners"] == Json{"127.0.0.1:25"});
  CHECK(data["queue"]["messages"] == 1);
  CHECK(data["queue"]["recipients"] == 2);
  CHECK(data["queue"]["octets"] == 100);
  CHECK(data["queue"]["oldest"] == "2026-02-02T02:40:00Z");
  CHECK(data["spool"]["failed"] == false);
  CHECK(data["deliveries_in_flight"] == 1);
  CHECK(data["deliveries_ready"] == 2);
  CHECK(data["deliveries_waiting"] == 3);
  CHECK(data["recipients"] == Json{{"delivered", 4}, {"deferred", 5}, {"failed", 6}});
  CHECK(data["policies"]["cached"] == 7);
  CHECK(data["policies"]["failing"] == 1);
  CHECK(data["policies"]["earliest_expiry"] == "1970-01-02T00:00:00Z");
  CHECK(data["policies"]["failing_domains"] == Json::array({{{"domain", "a.example"},
                                                             {"since", "1970-01-01T00:00:00Z"},
                                                             {"expires_at", "1970-01-02T00:00:00Z"},
                                                             {"alert", "warning"},
                                                             {"fault", "webpki-invalid"},
                                                             {"reason", "expired"}}}));
  CHECK(data["policies"]["fetch_failures"] ==
        Json::array({{{"fault", "fetch-error"}, {"reason", "http-404"}, {"count", 8}}}));
  CHECK_FALSE(data["version"].get<std::string>().empty());
}

TEST_CASE("results are the counts of one day, by report domain and policy") {
  Subject subject;
  auto failed = session("b.example");
  rpt::FailureDetail detail;
  detail.type = rpt::ResultType::certificate_host_mismatch;
  detail.receiving_mx_hostname = "mx.b.example";
  failed.policies[0].failures = {detail};
  subject.spool->count({session("a.example"), failed, failed});
  subject.put("a@sender.example",
              {"flush.example"});  // a later commit: the counts are on disk, too
  Results request{session_day()};
  request.limit = 1;
  const Json first = subject.data(request);
  CHECK(first["results"][0]["report_domain"] == "a.example");
  CHECK(first["results"][0]["successful_sessions"] == 1);
  CHECK(first["results"][0]["policy"]["type"] == "sts");
  CHECK(first["next"] == 1);
  request.offset = 1;
  const Json second = subject.data(request);
  const Json& result = second["results"][0];
  CHECK(result["report_domain"] == "b.example");
  CHECK(result["failed_sessions"] == 2);
  CHECK(result["failures"][0]["result_type"] == "certificate-host-mismatch");
  CHECK(result["failures"][0]["count"] == 2);
  CHECK(result["failures"][0]["receiving_mx_hostname"] == "mx.b.example");
  CHECK_FALSE(result["failures"][0].contains("receiving_ip"));
  CHECK(second["next"].is_null());
  CHECK(subject.data(Results{session_day() + std::chrono::days(1)})["results"].empty());
}

TEST_CASE("reload names what needs a restart, or every error") {
  Subject subject;
  subject.reload_answer = Reloaded{{"listen", "dns"}};
  CHECK(subject.data(Reload{})["needs_restart"] == Json{"listen", "dns"});
  subject.reload_answer =
      tl::unexpected(std::vector<std::string>{"f:1: a: wrong", "f:2: b: wrong"});
  const std::string error = subject.execute(Reload{}).error;
  CHECK(error.find("the old one stays in force") != std::string::npos);
  CHECK(error.find("f:1: a: wrong\nf:2: b: wrong") != std::string::npos);
}

}  // namespace
