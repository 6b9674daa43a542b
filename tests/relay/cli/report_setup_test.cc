#include "relay/cli/report_setup.h"

#include <algorithm>
#include <string>

#include <doctest/doctest.h>

#include "relay/cli/check_findings.h"

namespace {

using namespace relay::cli;
using relay::message::DkimKey;
using State = TextAnswer::State;
using Texts = std::vector<std::string>;

const DkimKey& key(const std::string& selector) {
  static const DkimKey rsa = DkimKey::generate(DkimKey::Kind::rsa);
  static const DkimKey other = DkimKey::generate(DkimKey::Kind::rsa);
  static const DkimKey ed25519 = DkimKey::generate(DkimKey::Kind::ed25519);
  return selector == "a" ? rsa : selector == "b" ? other : ed25519;
}

SetupKey of(const std::string& selector) {
  return {"sender.example", selector, selector + ".pem", key(selector), ""};
}

std::string at(const std::string& selector) {
  return selector + "._domainkey.sender.example";
}

/// Two RSA keys, published as they should be, and a record of one's own.
ReportSetup good() {
  ReportSetup setup;
  setup.contact = "tls@Sender.Example";
  setup.keys = {of("a"), of("b")};
  setup.answers = {{at("a"), {State::found, {key("a").record("")}, {}}},
                   {at("b"), {State::found, {key("b").record("tlsrpt")}, {}}},
                   {"_smtp._tls.sender.example",
                    {State::found, {"v=TLSRPTv1; rua=mailto:x@sender.example"}, {}}}};
  return setup;
}

std::vector<std::string> codes(const SetupReport& report) {
  std::vector<std::string> found;
  for (const CheckFinding& finding : report.findings) {
    found.push_back(finding.code);
  }
  return found;
}

TEST_CASE("keys that are published as they should be leave nothing to say") {
  const SetupReport report = report_on(good());
  CHECK(codes(report).empty());
  CHECK(report.good_keys == 2);
  CHECK(exit_code(report) == kCheckGood);
  CHECK(to_text(report).ends_with("\nAll is in place.\n"));
  REQUIRE(report.records.size() == 3);
  CHECK(report.records[0].text.find("s=") == std::string::npos);
  CHECK(report.records[1].text.find("s=tlsrpt") != std::string::npos);
}

TEST_CASE("each way in which a published key can be wrong has its code and costs the key") {
  struct Row {
    Texts texts;
    const char* code;
  };
  const std::string ours = key("a").public_record();
  for (const Row& row : {
           Row{{}, "key-not-published"},
           Row{{key("a").record(""), key("a").record("")}, "key-several-records"},
           Row{{"v=spf1 -all"}, "key-malformed"},
           Row{{"v=DKIM1; p="}, "key-revoked"},
           Row{{key("b").record("")}, "key-differs"},
           Row{{key("ed25519").record("")}, "key-kind"},
           Row{{"v=DKIM1; s=other; p=" + ours}, "key-service"},
           Row{{"v=DKIM1; h=sha1; p=" + ours}, "key-hash"},
       }) {
    CAPTURE(row.code);
    ReportSetup setup = good();
    setup.answers[at("a")] = {row.texts.empty() ? State::absent : State::found, row.texts, {}};
    const SetupReport report = report_on(setup);
    CHECK(codes(report) == std::vector<std::string>{row.code, "no-plain-key"});
    CHECK(report.good_keys == 1);
    CHECK(exit_code(report) == kCheckFindings);
    CHECK(report.findings[0].remedy.find(row.texts.size() > 1 ? "Keep" : "Publish \"v=DKIM1; ") ==
          0);
  }
}

TEST_CASE("that a domain only tries DKIM out is worth a note, and costs nothing") {
  ReportSetup setup = good();
  setup.answers[at("a")].texts = {"v=DKIM1; t=y; p=" + key("a").public_record()};
  const SetupReport report = report_on(setup);
  CHECK(codes(report) == std::vector<std::string>{"key-testing"});
  CHECK(exit_code(report) == kCheckGood);
}

TEST_CASE("which key has s=tlsrpt does not matter, if there is one with and one without") {
  ReportSetup setup = good();
  setup.answers[at("a")].texts = {key("a").record("tlsrpt")};
  CHECK(codes(report_on(setup)) == std::vector<std::string>{"no-plain-key"});
  setup.answers[at("b")].texts = {key("b").record("")};
  CHECK(codes(report_on(setup)).empty());
  setup.answers[at("a")].texts = {key("a").record("email")};
  CHECK(codes(report_on(setup)) == std::vector<std::string>{"no-report-key"});
}

TEST_CASE("Ed25519 alone leaves out the verifiers that do not know it") {
  ReportSetup setup = good();
  setup.keys = {of("ed25519")};
  setup.answers[at("ed25519")] = {State::found, {key("ed25519").record("")}, {}};
  CHECK(codes(report_on(setup)) == std::vector<std::string>{"no-plain-key", "no-report-key"});
}

TEST_CASE("reports that would be ignored, and what is not known, have exit codes of their own") {
  ReportSetup setup = good();
  setup.contact = "";
  CHECK(exit_code(report_on(setup)) == kCheckRefused);
  CHECK(to_text(report_on(setup)).starts_with("TLS reports are off."));
  setup = good();
  setup.keys.clear();
  CHECK(codes(report_on(setup)) == std::vector<std::string>{"no-keys"});
  CHECK(exit_code(report_on(setup)) == kCheckRefused);
  setup = good();
  setup.keys[0].domain = setup.keys[1].domain = "other.example";
  setup.answers["a._domainkey.other.example"] = setup.answers[at("a")];
  setup.answers["b._domainkey.other.example"] = setup.answers[at("b")];
  CHECK(codes(report_on(setup)) == std::vector<std::string>{"key-domain", "key-domain"});
  CHECK(exit_code(report_on(setup)) == kCheckRefused);
  setup = good();
  setup.answers[at("a")] = setup.answers[at("b")] = {State::failed, {}, "SERVFAIL"};
  CHECK(codes(report_on(setup)) == std::vector<std::string>{"lookup-failed", "lookup-failed"});
  CHECK(exit_code(report_on(setup)) == kCheckUndetermined);
  setup = good();
  setup.keys[0].key.reset();
  setup.keys[0].fault = "a.pem cannot be read";
  CHECK(report_on(setup).findings[0].code == "key-file");
  CHECK(report_on(setup).findings[0].text == "a.pem cannot be read");
}

TEST_CASE("an own record is proposed, and one that asks for nothing is named") {
  struct Row {
    Texts texts;
    const char* state;
    std::vector<std::string> codes;
  };
  for (const Row& row : {
           Row{{}, "not published", {}},
           Row{{"v=TLSRPTv1; rua=mailto:x@sender.example"}, "another is published", {}},
           Row{{"v=TLSRPTv1; rua=ftp://x"}, "differs", {"own-record-invalid"}},
           Row{{"v=TLSRPTv1"}, "not published", {}},
           Row{{"v=TLSRPTv1; rua=mailto:x@a.example", "v=TLSRPTv1; rua=mailto:y@a.example"},
               "differs",
               {"own-record-invalid"}},
       }) {
    ReportSetup setup = good();
    setup.answers["_smtp._tls.sender.example"] = {
        row.texts.empty() ? State::absent : State::found, row.texts, {}};
    const SetupReport report = report_on(setup);
    const auto json = to_json(report)["records"].back();
    CHECK(json["state"] == row.state);
    CHECK(json["text"] == "v=TLSRPTv1; rua=mailto:tls@Sender.Example");
    CHECK(codes(report) == row.codes);
  }
}

TEST_CASE("proposed keys are two of RSA and one of Ed25519, the last for s=tlsrpt") {
  const auto keys = proposed_keys("sender.example", "/etc/stsrelay");
  REQUIRE(keys.size() == 3);
  CHECK(std::ranges::count_if(keys, [](const SetupKey& each) {
          return kind_for(each.selector) == DkimKey::Kind::rsa;
        }) == 2);
  CHECK(kind_for(keys.back().selector) == DkimKey::Kind::rsa);
  CHECK(keys.back().file == "/etc/stsrelay/tlsrpt.pem");
}

TEST_CASE("text for a master file is cut into strings of 255 octets") {
  CHECK(quoted_text("a \"b\" \\") == R"("a \"b\" \\")");
  const std::string cut = quoted_text(std::string(256, 'x'));
  CHECK(cut == '"' + std::string(255, 'x') + "\" \"x\"");
}

}  // namespace
