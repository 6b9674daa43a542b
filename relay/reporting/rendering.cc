#include "relay/reporting/rendering.h"

#include <algorithm>

#include <fmt/format.h>

#include "relay/message/report_mail.h"

namespace relay::reporting {
namespace {

constexpr std::chrono::hours kLifetime{24};

std::string domain_of(const std::string& mailbox) {
  return mailbox.substr(mailbox.rfind('@') + 1);
}

/// As names have it: "002" …; the first part of a day has none.
std::string part_text(const spool::ReportKey& key) {
  return key.part == 1 ? "" : fmt::format("{:03}", key.part);
}

bool has_failures(const rpt::Report& report) {
  return std::ranges::any_of(
      report.policies, [](const rpt::PolicySummary& policy) { return policy.failed_sessions > 0; });
}

}  // namespace

rpt::Report make_report(const rpt::Tally& tally, const spool::ReportKey& key,
                        const std::vector<rpt::Destination>& destinations,
                        const ReportSettings& settings) {
  const conf::Reports& wanted = settings.reports;
  rpt::Report report;
  report.contact = wanted.contact;
  report.organization = wanted.organization.empty() ? settings.submitter() : wanted.organization;
  report.domain = key.domain;
  report.day = key.day;
  std::vector<std::string> uris;
  uris.reserve(destinations.size());
  for (const rpt::Destination& destination : destinations) {
    uris.push_back(destination.uri);
  }
  report.id = rpt::report_id({settings.submitter(), key.domain, key.day, uris, part_text(key)});
  report.policies =
      rpt::summarize(tally, key.domain, static_cast<std::size_t>(wanted.details_per_policy));
  rpt::redact(report, {wanted.redact.sending_mta_ip, wanted.redact.helo, wanted.redact.reason});
  rpt::limit_size(report);
  return report;
}

std::string withheld(const rpt::Report& report, const ReportSettings& settings) {
  const conf::ReportRule* const rule = settings.rule_of(report.domain);
  if (rule != nullptr && !rule->send) {
    return "off in the configuration";
  }
  // RFC 8460 §4.2.1: a report without failures says that reports work.
  return settings.reports.success_only || has_failures(report) ? "" : "no failures";
}

spool::StoredReport rendered(const rpt::Report& report, const spool::ReportKey& key,
                             net::WallTime now) {
  spool::StoredReport stored;
  stored.key = key;
  stored.state = spool::ReportState::rendered;
  stored.id = report.id;
  stored.file_name = rpt::file_name(report, rpt::Encoding::gzip, part_text(key));
  stored.rendered_at = now;
  stored.summary = rpt::summary_text(report);
  if (key.part > 1) {
    stored.summary = fmt::format(
        "This is part {} of the day's report: only what was counted after part {}\nwas made.\n\n{}",
        key.part, key.part - 1, stored.summary);
  }
  stored.content = rpt::encoded(rpt::to_json(report), rpt::Encoding::gzip);
  return stored;
}

spool::Notice report_mail(const spool::StoredReport& report, const MailFacts& facts,
                          const ReportSettings& settings) {
  message::ReportMail mail;
  mail.from = settings.sender();
  mail.to = facts.mailbox;
  mail.report_domain = report.key.domain;
  mail.submitter = domain_of(report.id);
  mail.report_id = report.id;
  mail.file_name = report.file_name;
  mail.text = report.summary;
  mail.body = report.content;
  mail.date = facts.now;
  // Each mail has its own, also where one report goes to several mailboxes.
  mail.message_id = fmt::format("{}.{}@{}", report.id.substr(0, report.id.rfind('@')),
                                facts.id.text(), mail.submitter);

  spool::Notice notice;
  const std::string content = message::report_mail(mail);
  notice.content = message::sign(settings.signers, content, facts.now) + content;
  spool::Envelope& envelope = notice.envelope;
  envelope.id = facts.id;
  envelope.origin = spool::Origin::report;
  envelope.sender = settings.sender();
  envelope.received_at = facts.now;
  envelope.expires_at = facts.now + kLifetime;
  envelope.size = notice.content.size();
  envelope.priority = spool::Priority::bulk;
  envelope.tls = spool::MessageTls::optional;  // RFC 8460 §3, §5.3.1
  envelope.client_helo = settings.hostname;
  spool::Recipient recipient;
  recipient.address = facts.mailbox;
  recipient.domain = domain_of(facts.mailbox);
  recipient.next_try = facts.now;
  envelope.recipients.push_back(std::move(recipient));
  return notice;
}

}  // namespace relay::reporting
