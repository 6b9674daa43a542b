#include "relay/cli/check_report.h"

#include <set>
#include <string>

#include <doctest/doctest.h>

#include "tests/relay/cli/examined.h"

namespace {

using namespace support;

TEST_CASE("a domain in order, for a person") {
  const auto report = report_on(examined(policy_of(policy_text("enforce"))));
  CHECK(
      to_text(report, Colour::none) ==
      R"(example.com: A message would be delivered to mx1.example.com over TLSv1.3, with its name proved.

DNS
  MX             10 mx1.example.com (insecure)
  _mta-sts       "v=STSv1; id=1;" (id 1)
  _smtp._tls     "v=TLSRPTv1; rua=mailto:tls@example.com"
    reports to   mailto:tls@example.com

Policy https://mta-sts.example.com/.well-known/mta-sts.txt
  fetch          HTTP 200 text/plain, certificate valid
  mode           enforce
  max_age        1209600 s
  mx             mx1.example.com
    1 version: STSv1
    2 mode: enforce
    3 mx: mx1.example.com
    4 max_age: 1209600

MX host mx1.example.com
  addresses      192.0.2.1
  policy         lists it
  TLSA           none that is secure
  rule           )" +
          report.examination.hosts.front().explanation +
          R"(
  192.0.2.1      TLSv1.3 TLS_AES_256_GCM_SHA384, certificate valid for the name
  verdict        verified

TLS-RPT would count
  sts            success

Findings
  none
)");
}

TEST_CASE("a policy's faults stand under their lines") {
  Examination found;
  found.policy = policy_of(policy_text("enforce") + "\nmx: a.example.\nmx: *\n");
  found.policy.source = PolicyExamination::Source::file;
  found.policy.where = "mta-sts.txt";
  found.policy.fetch.reset();
  CHECK(to_text(report_on(found), Colour::none) ==
        R"(mta-sts.txt: a policy with faults that strict senders refuse.

Policy mta-sts.txt
  mode           enforce
  max_age        1209600 s
  mx             mx1.example.com, a.example
    1 version: STSv1
    2 mode: enforce
    3 mx: mx1.example.com
    4 max_age: 1209600
    5 
      ^ empty-line (strict): The line is empty.
    6 mx: a.example.
      ^ trailing-dot (strict): The mx value 'a.example.' ends with a dot.
    7 mx: *
      ^ bad-mx (strict): The mx value '*' is no host name or '*.' and a name.

Findings
  warning empty-line: policy line 5: The line is empty.
          Remove the line.
  warning trailing-dot: policy line 6: The mx value 'a.example.' ends with a dot.
          Remove the dot at the end of the name.
  warning bad-mx: policy line 7: The mx value '*' is no host name or '*.' and a name.
          Write one host name, or '*.' and a name, on each mx line.
)");
}

TEST_CASE("colour is only added, and what peers wrote cannot add to it") {
  Examination found = examined(policy_of(policy_text("enforce")));
  found.sts_record.texts = {"\x1b[2Jx"};
  const auto report = report_on(found);
  const std::string coloured = to_text(report, Colour::ansi);
  CHECK(coloured.find("\x1b[1mDNS\x1b[0m") != std::string::npos);
  CHECK(coloured.find("\x1b[32mverified\x1b[0m") != std::string::npos);
  CHECK(coloured.find("\\x1b[2Jx") != std::string::npos);
  std::string plain = coloured;
  for (std::size_t at = 0; (at = plain.find('\x1b')) != std::string::npos;) {
    plain.erase(at, plain.find('m', at) - at + 1);
  }
  CHECK(plain == to_text(report, Colour::none));
}

std::set<std::string> keys(const Json& json) {
  std::set<std::string> found;
  for (const auto& [key, value] : json.items()) {
    found.insert(key);
  }
  return found;
}

TEST_CASE("the JSON has the same keys whatever was found") {
  const std::set<std::string> top{"domain",     "policy_domain",
                                  "verdict",    "rule",
                                  "host",       "text",
                                  "exit_code",  "mx",
                                  "sts_record", "policy",
                                  "local_rule", "tls_rpt_record",
                                  "hosts",      "tls_rpt_results",
                                  "daemon",     "findings"};
  const Json good = to_json(report_on(examined(policy_of(policy_text("enforce")))));
  const Json empty = to_json(report_on(Examination{}));
  const Json bad = to_json(report_on(unprotected(net::TlsFailed{"tls-alert-40"})));
  for (const Json& json : {good, empty, bad}) {
    CHECK(keys(json) == top);
    CHECK(keys(json["policy"]) == keys(good["policy"]));
    CHECK(keys(json["sts_record"]) == keys(good["sts_record"]));
    CHECK(keys(json["daemon"]) == keys(good["daemon"]));
    CHECK(keys(json["tls_rpt_record"]) == keys(good["tls_rpt_record"]));
  }
  CHECK(keys(bad["hosts"][0]["sessions"][0]["tls"]) ==
        keys(good["hosts"][0]["sessions"][0]["tls"]));
  CHECK(good["verdict"] == "delivered-verified");
  CHECK(good["exit_code"] == 0);
  CHECK(good["hosts"][0]["listed"] == true);
  CHECK(good["tls_rpt_results"][0]["success"] == true);
  CHECK(bad["hosts"][0]["fate"] == "plaintext");
  CHECK(bad["hosts"][0]["sessions"][0]["tls"]["reason"] == "tls-alert-40");
  CHECK(empty["domain"].is_null());
  CHECK(empty["policy"]["mode"].is_null());
}

}  // namespace
