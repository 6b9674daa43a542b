#include "conf/staging.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "conf/config.h"

namespace {

constexpr std::string_view kHead = "hostname: relay.test\nstaging:\n  confirm: Relay.Test\n";

/// "key: the beginning of the reason", of each error.
std::vector<std::string> complaints(const std::string& yaml) {
  const auto config = conf::parse(yaml);
  std::vector<std::string> texts;
  for (const conf::ConfigError& error :
       config ? std::vector<conf::ConfigError>{} : config.error()) {
    texts.push_back(error.key + ": " + error.reason);
  }
  return texts;
}

TEST_CASE("staging: a pattern's stars stand for any text, and case does not matter") {
  struct Row {
    const char* pattern;
    const char* text;
    bool matches;
  };
  for (const Row& row :
       {Row{"tempfail@*", "TempFail@example.com", true},
        Row{"tempfail@*", "xtempfail@example.com", false},
        Row{"*@example.com", "a@example.com", true},
        Row{"*@example.com", "a@sub.example.com", false},
        Row{"*@*.example.com", "a@b.sub.example.com", true}, Row{"*a*b*", "xxabab", true},
        Row{"*a*b*", "ba", false}, Row{"a@example.com", "a@example.com", true},
        Row{"a@example.com", "a@example.com.evil.example", false}, Row{"*", "", true},
        Row{"", "a", false}}) {
    CAPTURE(row.pattern);
    CAPTURE(row.text);
    CHECK(conf::matches(row.pattern, row.text) == row.matches);
  }
}

TEST_CASE("staging: a whole section is read, and written as it was read") {
  const auto config = conf::parse(std::string(kHead) + R"(
  redirect_to: Testers@Example.COM
  allow_recipients: ["*@QA.example.com", boss@example.com]
  sink_keep: 1h
  soft_bounce: true
  only_hosts: ["*.test"]
  faults:
    - {recipient: "Later@*", reply: "451 4.3.0 later", delay: 2s}
    - {recipient: "gone@*", at: delivery, connection: tls_failed}
routes: [{match: "*", host: mail.test}]
)");
  REQUIRE(config);
  REQUIRE(config->staging);
  const conf::Staging& staging = *config->staging;
  CHECK(staging.confirm == "relay.test");
  CHECK(staging.redirect_to == "Testers@example.com");
  CHECK(staging.allow_recipients ==
        std::vector<std::string>{"*@qa.example.com", "boss@example.com"});
  CHECK(staging.modes() == "redirect,faults,soft-bounce");
  using At = conf::StagingFault::At;
  REQUIRE(staging.fault(At::submission, "later@x.example") != nullptr);
  CHECK(staging.fault(At::submission, "later@x.example")->delay == std::chrono::seconds(2));
  CHECK(staging.fault(At::delivery, "later@x.example") == nullptr);
  CHECK(staging.fault(At::delivery, "gone@x.example")->connection ==
        conf::StagingFault::Connection::tls_failed);
  CHECK(conf::parse(conf::to_yaml(*config)).value() == *config);
}

TEST_CASE("staging: what could let real mail go astray is refused") {
  struct Row {
    std::string yaml;
    const char* complaint;
  };
  const std::string head(kHead);
  const std::vector<Row> rows{
      {"staging: {confirm: relay.test, sink: true}", "staging: needs hostname to be set"},
      {"hostname: relay.test\nstaging: {sink: true}", "staging.confirm: must repeat the hostname"},
      {"hostname: mail.example\nstaging: {confirm: relay.test, sink: true}",
       "staging.confirm: must repeat the hostname"},
      {head, "staging: does not say what to do"},
      {head + "  sink: true\n  redirect_to: a@b.test", "staging: can do only one of"},
      {head + "  capture: /srv/mail\n  dry_run: true", "staging: can do only one of"},
      {head + "  sink: true\n  allow_recipients: ['*@a.example']",
       "staging.allow_recipients: names who is not redirected"},
      {head + "  redirect_to: a@b.test\n  allow_recipients: ['*']",
       "staging.allow_recipients[0]: \"*\" lets mail out to anybody"},
      {head + "  redirect_to: a@b.test\n  allow_recipients: ['boss@*']",
       "staging.allow_recipients[0]: \"boss@*\" lets mail out"},
      {head + "  redirect_to: a@b.test\n  allow_recipients: ['*@*.com']",
       "staging.allow_recipients[0]: \"*@*.com\" lets mail out"},
      {head + "  redirect_to: a@b.test\nroutes: [{match: '*', host: smtp.provider.example}]",
       "routes[0]: leads to smtp.provider.example, which staging.only_hosts does not name"},
      {head + "  dry_run: true\nroutes: [{match: '*', mx: provider.example}]",
       "routes[0]: leads to provider.example"},
      {head + "  sink: true\nreports: {contact: tls@example.org}",
       "reports.contact: would have a relay for staging report"},
      {head + "  faults: [{recipient: 'a@*'}]", "staging.faults[0]: does not say what happens"},
      {head + "  faults: [{reply: '451 later'}]", "staging.faults[0]: has no recipient"},
      {head + "  faults: [{recipient: 'a@*', reply: '354 go'}]",
       "staging.faults[0].reply: \"354 go\" is no SMTP reply"},
      {head + "  faults: [{recipient: 'a@*', reply: '451 x', connection: dropped}]",
       "staging.faults[0].connection: leaves no room for the reply"},
      {head + "  faults: [{recipient: 'a@*', connection: tls_failed}]",
       "staging.faults[0].connection: cannot be tls_failed at submission"},
      {head + "  faults: [{recipient: 'a@*', connection: dropped, delay: 1s}]",
       "staging.faults[0].delay: is for an answer"},
      {head + "  faults: [{recipient: 'a@*', at: delivery, delay: 1s}]",
       "staging.faults[0]: does not say what happens"}};
  for (const Row& row : rows) {
    CAPTURE(row.yaml);
    const auto texts = complaints(row.yaml);
    REQUIRE(texts.size() == 1);
    CHECK(texts.front().starts_with(row.complaint));
  }
}

TEST_CASE("staging: routes of a sink, of a test world and to listed hosts are no danger") {
  const std::string head(kHead);
  const std::string route = "\nroutes: [{match: '*', host: smtp.provider.example}]";
  for (const std::string& yaml :
       {head + "  sink: true" + route, head + "  capture: /srv/mail" + route,
        head + "  dry_run: true" + route + "\ntest_world: {}",
        head + "  dry_run: true\n  only_hosts: ['*.provider.example']" + route,
        head + "  sink: true\nreports: {contact: tls@example.org, dry_run_folder: /srv/reports}"}) {
    CAPTURE(yaml);
    CHECK(complaints(yaml).empty());
  }
}

}  // namespace
