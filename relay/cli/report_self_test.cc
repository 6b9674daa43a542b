#include "relay/cli/report_self_test.h"

#include <algorithm>

#include <fmt/format.h>

#include "relay/cli/check_findings.h"
#include "relay/cli/report_mime.h"
#include "relay/reporting/rendering.h"
#include "relay/smtp/ascii.h"
#include "rpt/report_reader.h"

namespace relay::cli {
namespace {

// Nobody's (RFC 2606 §2).
constexpr const char* kDomain = "tls-report-self-test.invalid";
constexpr const char* kMailbox = "nobody@tls-report-self-test.invalid";

rpt::SessionResult session(net::WallTime now, std::vector<rpt::FailureDetail> failures) {
  rpt::SessionResult result;
  result.report_domain = kDomain;
  result.ended_at = std::chrono::floor<std::chrono::seconds>(now);
  result.policies.push_back(
      {{rpt::PolicyType::no_policy_found, {}, kDomain, {}}, std::move(failures)});
  return result;
}

std::vector<std::string> oddities_of(const std::string& mail) {
  const MailContent content = reports_in_mail(mail);
  if (content.reports.size() != 1) {
    return {"the mail holds no report"};
  }
  auto reading = rpt::read_report(content.reports.front().octets);
  if (!reading) {
    return {reading.error().reason};
  }
  rpt::cross_check(*reading, content.reports.front().metadata);
  std::vector<std::string> oddities;
  for (const rpt::ReportWarning& warning : reading->warnings) {
    oddities.push_back(fmt::format("{} {}", rpt::name(warning.code), warning.where));
  }
  return oddities;
}

ReportCarrier carrier_of(const SelfTest& test) {
  return {ReportCarrier::Kind::mail, message::dkim_claims(test.mail, {})};
}

bool all_pass(const SelfTest& test) {
  return test.oddities.empty() &&
         std::ranges::all_of(test.dkim.signatures, [](const SignatureVerdict& each) {
           return each.verdict.result == message::DkimResult::pass;
         });
}

}  // namespace

SelfTest make_dummy(const reporting::ReportSettings& settings, net::WallTime now) {
  rpt::Tally tally;
  tally.add(session(now, {}));
  tally.add(session(now, {{rpt::ResultType::starttls_not_supported, "192.0.2.1",
                           "mx.tls-report-self-test.invalid", "", "192.0.2.2", "not-advertised"}}));
  spool::ReportKey key;
  key.day = std::chrono::floor<std::chrono::days>(now);
  key.domain = kDomain;
  const rpt::Report report = reporting::make_report(tally, key, {}, settings);
  const spool::StoredReport stored = reporting::rendered(report, key, now);
  const auto notice =
      reporting::report_mail(stored, {spool::MessageId(1), now, kMailbox}, settings);
  SelfTest test;
  test.mail = notice.content;
  test.file_name = stored.file_name;
  test.octets = rpt::to_json(report).size();
  test.oddities = oddities_of(test.mail);
  return test;
}

TextAnswers local_records(const reporting::ReportSettings& settings) {
  TextAnswers records;
  for (const message::DkimSigner& signer : settings.signers) {
    const std::string name = fmt::format("{}._domainkey.{}", signer.selector, signer.domain);
    records[smtp::lower(name)] = {TextAnswer::State::found, {signer.key.record("")}, {}};
  }
  return records;
}

std::set<std::string> key_names(const SelfTest& test) {
  std::set<std::string> names;
  add_key_names(carrier_of(test), names);
  return names;
}

void verify(SelfTest& test, const reporting::ReportSettings& settings, const TextAnswers& keys) {
  test.dkim = judge(carrier_of(test), settings.submitter(), keys);
}

std::string to_text(const SelfTest& test) {
  std::string text = fmt::format("Made: {}, {} octets of JSON, mail of {} octets\n", test.file_name,
                                 test.octets, test.mail.size());
  text += test.oddities.empty() ? "Read back without a complaint\n" : "";
  for (const std::string& oddity : test.oddities) {
    text += fmt::format("Read back with a complaint: {}\n", oddity);
  }
  for (const SignatureVerdict& each : test.dkim.signatures) {
    text += fmt::format("Signature of {}._domainkey.{} ({}): {}{}\n", each.selector, each.domain,
                        each.algorithm, message::name(each.verdict.result),
                        each.verdict.reason.empty() ? "" : ", " + each.verdict.reason);
  }
  const bool taken = test.dkim.verdict == CarrierVerdict::pass;
  return text + fmt::format("Verdict: {}{}\nNothing was sent.\n", test.dkim.text(),
                            taken ? "" : "; receivers would ignore the report");
}

Json to_json(const SelfTest& test) {
  return {{"file_name", test.file_name},
          {"json_octets", test.octets},
          {"mail_octets", test.mail.size()},
          {"oddities", test.oddities},
          {"dkim", dkim_json(test.dkim)}};
}

int exit_code(const SelfTest& test) {
  switch (test.dkim.verdict) {
    case CarrierVerdict::pass:
      return all_pass(test) ? kCheckGood : kCheckFindings;
    case CarrierVerdict::unknown:
      return kCheckUndetermined;
    case CarrierVerdict::not_checked:
    case CarrierVerdict::no_mail:
    case CarrierVerdict::forwarded:
    case CarrierVerdict::unsigned_mail:
    case CarrierVerdict::other_domain:
    case CarrierVerdict::fail:
      break;
  }
  return kCheckRefused;
}

}  // namespace relay::cli
