// The reports section: what is read, and what is refused with which remedy.
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "conf/config.h"

namespace {

TEST_CASE("reports: off without a contact, whatever else is said") {
  CHECK_FALSE(conf::parse("")->reports.enabled());
  const auto config = conf::parse("reports: {from: a@b.example, dkim: [{domain: c.example}]}");
  REQUIRE(config);
  CHECK_FALSE(config->reports.enabled());
}

TEST_CASE("reports: every setting is read, domains in lower case") {
  const auto config = conf::parse(R"(
reports:
  organization: Example Org
  contact: TLS@Example.Com
  from: Noreply@EXAMPLE.com
  dkim:
    - {selector: A, key_file: /k/a.pem}
    - {domain: Example.com, selector: b, key_file: /k/b.pem}
  window: 1h
  grace: 0
  details_per_policy: 7
  redact: {sending_mta_ip: true, helo: true, reason: true}
  domains:
    Off.example: {send: false}
    over.example: {rua: ["mailto:a@b.example", "https://u:p@r.example:8443/x?y=%2C"]}
  success_only: false
  dry_run_folder: /srv/reports
)");
  REQUIRE(config);
  conf::Reports expected;
  expected.organization = "Example Org";
  expected.contact = "TLS@example.com";
  expected.from = "Noreply@example.com";
  expected.dkim = {{"", "a", "/k/a.pem"}, {"example.com", "b", "/k/b.pem"}};
  expected.window = std::chrono::hours(1);
  expected.grace = conf::Duration(0);
  expected.details_per_policy = 7;
  expected.redact = {true, true, true};
  expected.domains["off.example"].send = false;
  expected.domains["over.example"].rua = {"mailto:a@b.example",
                                          "https://u:p@r.example:8443/x?y=%2C"};
  expected.success_only = false;
  expected.dry_run_folder = "/srv/reports";
  CHECK(config->reports == expected);
  CHECK(conf::parse(conf::to_yaml(*config)) == config);
}

TEST_CASE("reports: an error names the key and the remedy") {
  struct Row {
    const char* yaml;
    const char* text;
  };
  const std::vector<Row> rows{
      {"{contact: me}",
       "line 1: reports.contact: \"me\" is no mail address; write for example "
       "tls-reports@example.com"},
      {"{contact: \"A <a@b.example>\"}",
       "line 1: reports.contact: \"A <a@b.example>\" is no mail address; write for example "
       "tls-reports@example.com"},
      {"{contact: a@b.example, from: a@c.example}",
       "line 1: reports.from: a@c.example is not in b.example, the domain of reports.contact; "
       "write an address there, or leave it out to use the contact"},
      {"{contact: a@b.example, dkim: [{selector: s}]}",
       "line 1: reports.dkim[0]: has no key_file; a key needs both selector and key_file"},
      {"{contact: a@b.example, dkim: [{key_file: /k}]}",
       "line 1: reports.dkim[0]: has no selector; a key needs both selector and key_file"},
      {"{contact: a@b.example, dkim: [{domain: c.example, selector: s, key_file: /k}]}",
       "line 1: reports.dkim: no key signs for b.example, the domain of reports.contact, and "
       "receivers ignore reports without that; add one with domain: b.example"},
      {"{window: 13h}", "line 1: reports.window: \"13h\" is not between 0 and 12h"},
      {"{domains: {\"*.a.example\": {send: false}}}",
       "line 1: reports.domains.*.a.example: is no policy domain; write for example example.com "
       "(internationalised names in their xn-- form, without a trailing dot)"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.yaml);
    const auto config = conf::parse(std::string("reports: ") + row.yaml);
    REQUIRE_FALSE(config);
    REQUIRE(config.error().size() == 1);
    CHECK(config.error()[0].text() == row.text);
  }
}

TEST_CASE("reports: only mailto and https destinations that a record could hold are taken") {
  const std::vector<const char*> good{"mailto:a@b.example", "https://b.example",
                                      "https://b.example:8443/x", "https://u:p@b.example/"};
  const std::vector<const char*> bad{"",
                                     "a@b.example",
                                     "http://b.example/",
                                     "mailto:b.example",
                                     "mailto:a@b.example?subject=x",
                                     "mailto:a@b.example,mailto:c@b.example",
                                     "https://192.0.2.1/",
                                     "https://b.example/!",
                                     "https://b.example/;",
                                     "https://b.example/ x"};
  const auto parsed = [](const std::string& uri) {
    return conf::parse("reports: {domains: {b.example: {rua: [\"" + uri + "\"]}}}").has_value();
  };
  for (const char* uri : good) {
    CAPTURE(uri);
    CHECK(parsed(uri));
  }
  for (const char* uri : bad) {
    CAPTURE(uri);
    CHECK_FALSE(parsed(uri));
  }
}

}  // namespace
