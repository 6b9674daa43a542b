#include "relay/cli/report_dkim.h"

#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "relay/cli/report_views.h"
#include "relay/message/dkim_key.h"
#include "relay/message/dkim_signer.h"
#include "relay/message/report_mail.h"
#include "tests/relay/cli/report_collected.h"

namespace {

using namespace relay::cli;
using relay::message::DkimKey;
using relay::message::DkimSigner;
using State = TextAnswer::State;

const DkimKey& key() {
  static const DkimKey made = DkimKey::generate(DkimKey::Kind::ed25519);
  return made;
}

/// A report of sender.example, signed by a domain, as a mailbox keeps it.
std::string mail(const std::string& signing_domain) {
  relay::message::ReportMail parts;
  parts.from = "tls@sender.example";
  parts.to = "tls@rcpt.example";
  parts.report_domain = "rcpt.example";
  parts.submitter = "sender.example";
  parts.report_id = "1@sender.example";
  parts.file_name = "sender.example!rcpt.example!1787184000!1787270399.json";
  parts.text = "1 session\n";
  parts.body = support::sound_report().dump();
  parts.encoding = relay::message::ReportMail::Encoding::json;
  parts.message_id = "1.1@sender.example";
  std::string text = relay::message::report_mail(parts);
  if (!signing_domain.empty()) {
    text = relay::message::sign(DkimSigner{signing_domain, "s", key()}, text, {}) + text;
  }
  std::erase(text, '\r');
  return text;
}

TextAnswers published(const std::string& domain) {
  return {{"s._domainkey." + domain, {State::found, {key().record("tlsrpt")}, {}}}};
}

CarrierDkim verified(const std::string& input, const TextAnswers& keys) {
  auto collection = support::collected({{"input", input}});
  REQUIRE(collection.reports().size() == 1);
  CHECK(collection.reports()[0].dkim.text() == "not-checked");
  collection.verify(keys);
  CHECK(collection.doubtful() == (is_doubtful(collection.reports()[0].dkim.verdict) ? 1U : 0U));
  return collection.reports()[0].dkim;
}

TEST_CASE("a report's mail is shown to be its reporter's by a signature of the reporting domain") {
  const auto found = verified(mail("sender.example"), published("sender.example"));
  CHECK(found.text() == "pass");
  REQUIRE(found.signatures.size() == 1);
  CHECK(found.signatures[0].verdict.declares_reports);
  const TextAnswers wrong{
      {"s._domainkey.sender.example",
       {State::found, {DkimKey::generate(DkimKey::Kind::ed25519).record("")}, {}}}};
  CHECK(verified(mail("sender.example"), wrong).text() == "fail (signature-wrong)");
  CHECK(verified(mail("sender.example"), {{"s._domainkey.sender.example", {}}}).text() ==
        "fail (no-key)");
  CHECK(verified(mail("sender.example"),
                 {{"s._domainkey.sender.example", {State::failed, {}, "timeout"}}})
            .text() == "unknown (timeout)");
  CHECK(verified(mail("other.example"), published("other.example")).text() == "other-domain");
  CHECK(verified(mail("example"), published("example")).text() == "pass");
  CHECK(verified(mail(""), {}).text() == "unsigned");
  CHECK(verified(support::sound_report().dump(), {}).text() == "no-mail");
}

TEST_CASE("a signature is looked for in an mbox, too, and not in what is forwarded") {
  const std::string box =
      "From a@b.example Fri Aug 21 00:00:00 2026\nSubject: none\n\nNothing.\n\n"
      "From a@b.example Fri Aug 21 00:00:00 2026\n" +
      mail("sender.example") + "\n";
  CHECK(verified(box, published("sender.example")).text() == "pass");
  const std::string forwarded =
      "From: a@b.example\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n" +
      mail("sender.example");
  CHECK(verified(forwarded, published("sender.example")).text() == "forwarded");
}

TEST_CASE("every view says what came of the signatures, once they were checked") {
  auto collection = support::collected({{"a.eml", mail("sender.example")}});
  CHECK(reports_as_text(collection, ReportColour::none).find("DKIM") == std::string::npos);
  CHECK(reports_as_html(collection).find("DKIM") == std::string::npos);
  CHECK(reports_as_json(collection)["reports"][0]["dkim"]["verdict"] == "not-checked");
  collection.verify({{"s._domainkey.sender.example", {}}});
  const std::string text = reports_as_text(collection, ReportColour::none);
  CHECK(text.find("    DKIM             1 fail (no-key)\n") != std::string::npos);
  CHECK(text.find("  fail (no-key) sender.example (a.eml)\n") != std::string::npos);
  CHECK(reports_as_html(collection).find("DKIM: 1 fail (no-key)") != std::string::npos);
  CHECK(reports_as_csv(collection).find("a.eml,fail\r\n") != std::string::npos);
  const auto json = reports_as_json(collection)["reports"][0]["dkim"];
  CHECK(json["signatures"][0]["selector"] == "s");
  CHECK(json["signatures"][0]["reason"] == "no-key");
}

}  // namespace
