#include "relay/cli/report_setup.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "relay/message/dkim_public_key.h"
#include "relay/smtp/ascii.h"
#include "rpt/record.h"

namespace relay::cli {
namespace {

using message::DkimKey;
using message::DkimPublicKey;
using Severity = CheckFinding::Severity;
using State = RecordToPublish::State;

constexpr std::size_t kPiece = 255;  // RFC 1035 §3.3: of a character-string

/// What setup knows of a key once it has looked at DNS.
struct KeyOutcome {
  State state = State::unknown;
  std::optional<DkimPublicKey> published;  ///< the one there, if it is ours
};

class Inspection {
 public:
  explicit Inspection(const ReportSetup& setup) : setup_(setup) {}

  SetupReport report() {
    report_.contact = setup_.contact;
    report_.domain = setup_.domain();
    if (setup_.contact.empty()) {
      add({Severity::error, "reports-off", "reports.contact",
           "No reports are made: they have to name someone who answers for them.",
           "Set reports.contact to a mail address in the domain that reports, for example "
           "tls-reports@example.com."});
      return std::move(report_);
    }
    for (std::size_t i = 0; i < setup_.keys.size(); ++i) {
      look_at(setup_.keys[i], i);
    }
    judge_keys();
    look_at_own_record();
    return std::move(report_);
  }

 private:
  void add(CheckFinding finding) { report_.findings.push_back(std::move(finding)); }

  /// What s= of a key's record shall be.
  [[nodiscard]] std::string service_of(std::size_t key) const {
    return setup_.keys.size() > 1 && key + 1 == setup_.keys.size() ? "tlsrpt" : "";
  }

  void look_at(const SetupKey& key, std::size_t index) {
    const std::string service = service_of(index);
    RecordToPublish record;
    record.name = key.record_name();
    record.purpose = service.empty() ? "signs reports, for every verifier"
                                     : "signs reports, for those that insist on s=tlsrpt";
    if (key.domain != report_.domain) {
      add({Severity::error, "key-domain", key.selector,
           fmt::format("It signs for {}, but {} reports; such a signature does not count.",
                       key.domain, report_.domain),
           "Leave domain out, or set it to the domain of reports.contact."});
    }
    if (!key.key) {
      record.state = State::unknown;
      add({Severity::error, "key-file", key.file, key.fault,
           "Run this command with --generate-keys, or put the key there."});
    } else {
      record.text = key.key->record(service);
      const KeyOutcome found = compare(key, record.text);
      record.state = found.state;
      if (found.published) {
        count(*found.published, key);
      }
    }
    report_.records.push_back(std::move(record));
  }

  KeyOutcome compare(const SetupKey& key, const std::string& wanted) {
    const std::string name = key.record_name();
    const auto answer = setup_.answers.find(name);
    if (answer == setup_.answers.end() || answer->second.state == TextAnswer::State::failed) {
      report_.undetermined = true;
      add({Severity::warning, "lookup-failed", name,
           fmt::format("It could not be asked for: {}.",
                       answer == setup_.answers.end() ? "not asked" : answer->second.failure),
           "Try again later; if that stays so, look at the name servers of the domain."});
      return {};
    }
    const auto& texts = answer->second.texts;
    if (texts.empty()) {
      add({Severity::error, "key-not-published", name, "There is no such TXT record.",
           fmt::format("Publish {}", quoted_text(wanted))});
      return {State::absent, {}};
    }
    if (texts.size() > 1) {
      add({Severity::error, "key-several-records", name,
           fmt::format("There are {} TXT records; verifiers may take any.", texts.size()),
           "Keep the one that is shown, and remove the others."});
      return {State::differs, {}};
    }
    return compare_record(key, texts.front(), wanted);
  }

  KeyOutcome compare_record(const SetupKey& key, const std::string& text,
                            const std::string& wanted) {
    const std::string name = key.record_name();
    const std::string remedy = fmt::format("Publish {}", quoted_text(wanted));
    const auto differs = [&](const char* code, std::string what) {
      add({Severity::error, code, name, std::move(what), remedy});
      return KeyOutcome{State::differs, {}};
    };
    auto published = DkimPublicKey::from_record(text);
    if (!published) {
      return differs(published.error().c_str(), "The record is no key that can be used.");
    }
    if (published->algorithm() != key.key->algorithm()) {
      return differs("key-kind",
                     fmt::format("The record is of the kind {}, the key in {} is {}.",
                                 published->algorithm(), key.file, key.key->algorithm()));
    }
    if (published->public_record() != key.key->public_record()) {
      return differs("key-differs", fmt::format("p= is another key than that in {}.", key.file));
    }
    if (!published->serves_reports()) {
      return differs("key-service", "s= allows the key for neither mail nor tlsrpt.");
    }
    if (!published->allows_sha256()) {
      return differs("key-hash", "h= does not allow sha256, which signs reports.");
    }
    if (published->is_testing()) {
      add({Severity::note, "key-testing", name,
           "t=y says that the domain only tries DKIM out; some receivers then ignore it.",
           "Remove t=y once reports arrive."});
    }
    return {State::published, std::move(*published)};
  }

  void count(const DkimPublicKey& published, const SetupKey& key) {
    if (key.domain != report_.domain) {
      return;
    }
    ++report_.good_keys;
    plain_ = plain_ || (published.serves_mail() && published.algorithm() == "rsa");
    declared_ = declared_ || published.declares_reports();
  }

  void judge_keys() {
    if (setup_.keys.empty() || setup_.origin == ReportSetup::Keys::proposed) {
      add({Severity::error, "no-keys", "reports.dkim",
           "No key is configured; receivers must ignore report mail without a signature.",
           "Run this command with --generate-keys, add the keys to the configuration as it says, "
           "and publish their records."});
      return;
    }
    if (report_.good_keys == 0) {
      return;  // what is wrong has been said key by key
    }
    if (!plain_) {
      add({Severity::warning, "no-plain-key", report_.domain,
           "No RSA key is published without s=, or with s=email; verifiers that know nothing of "
           "TLS reports take no other.",
           "Publish one key's record without s=."});
    }
    if (!declared_) {
      add({Severity::warning, "no-report-key", report_.domain,
           "No key is published with s=tlsrpt, which RFC 8460 §3 recommends; strict receivers of "
           "reports take no other.",
           "Name a second key in reports.dkim, and publish its record with s=tlsrpt."});
    }
  }

  void look_at_own_record() {
    RecordToPublish record;
    record.name = "_smtp._tls." + report_.domain;
    record.text = "v=TLSRPTv1; rua=mailto:" + setup_.contact;
    record.purpose = "asks others for reports about this domain; wanted, not needed";
    const auto answer = setup_.answers.find(record.name);
    const bool known =
        answer != setup_.answers.end() && answer->second.state != TextAnswer::State::failed;
    record.state = known ? own_record_state(answer->second.texts, record.name) : State::unknown;
    report_.records.push_back(std::move(record));
  }

  State own_record_state(const std::vector<std::string>& texts, const std::string& name) {
    const auto found = rpt::parse_records(texts);
    if (found && !found->destinations.empty()) {
      return State::unneeded;  // there is one, to whatever mailbox
    }
    if (!found && found.error() == rpt::RecordFault::absent) {
      return State::absent;
    }
    add({Severity::warning, "own-record-invalid", name,
         fmt::format("The record asks for no reports: {}.",
                     found ? "it has no usable rua" : rpt::name(found.error())),
         "Publish exactly one record, as it is shown."});
    return State::differs;
  }

  const ReportSetup& setup_;
  SetupReport report_;
  bool plain_ = false;
  bool declared_ = false;
};

std::string_view name(State state) {
  switch (state) {
    case State::published:
      return "published";
    case State::absent:
      return "not published";
    case State::differs:
      return "differs";
    case State::unknown:
      return "unknown";
    case State::unneeded:
      return "another is published";
  }
  return {};
}

bool is_good(const SetupReport& report) {
  return report.good_keys > 0 &&
         std::ranges::none_of(report.findings, [](const CheckFinding& finding) {
           return finding.severity != Severity::note;
         });
}

}  // namespace

std::string SetupKey::record_name() const {
  return smtp::lower(selector + "._domainkey." + domain);
}

std::string ReportSetup::domain() const {
  return smtp::lower(contact.substr(contact.rfind('@') + 1));
}

std::vector<SetupKey> proposed_keys(const std::string& domain, const std::string& folder) {
  std::vector<SetupKey> keys;
  for (const char* const selector : {"tlsrpt-mail", "tlsrpt-ed25519", "tlsrpt"}) {
    keys.push_back({domain, selector, fmt::format("{}/{}.pem", folder, selector), {}, ""});
  }
  return keys;
}

DkimKey::Kind kind_for(std::string_view selector) {
  return smtp::lower(selector).find("ed25519") == std::string::npos ? DkimKey::Kind::rsa
                                                                    : DkimKey::Kind::ed25519;
}

std::set<std::string> names_to_ask(const ReportSetup& setup) {
  std::set<std::string> names;
  if (setup.contact.empty()) {
    return names;
  }
  names.insert("_smtp._tls." + setup.domain());
  for (const SetupKey& key : setup.keys) {
    if (key.key) {
      names.insert(key.record_name());
    }
  }
  return names;
}

SetupReport report_on(const ReportSetup& setup) {
  return Inspection(setup).report();
}

std::string quoted_text(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, kPiece);
    text.remove_prefix(piece.size());
    result += result.empty() ? "\"" : " \"";
    for (const char c : piece) {
      result += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    }
    result += '"';
  }
  return result;
}

std::string to_text(const SetupReport& report) {
  if (report.contact.empty()) {
    return fmt::format("TLS reports are off. {}\n", report.findings.front().remedy);
  }
  std::string text = fmt::format("TLS reports of {} ({})\n\nRecords in DNS\n", report.domain,
                                 printable(report.contact));
  for (const RecordToPublish& record : report.records) {
    text += fmt::format("  {}. TXT: {}; {}\n", record.name, name(record.state), record.purpose);
    if (!record.text.empty() && record.state != State::unneeded) {
      text += fmt::format("    {}\n", quoted_text(record.text));
    }
  }
  if (!report.findings.empty()) {
    text += "\nFindings\n";
  }
  for (const CheckFinding& finding : report.findings) {
    text +=
        fmt::format("  {} {}: {}\n    {}\n    {}\n", name(finding.severity), finding.code,
                    printable(finding.where), printable(finding.text), printable(finding.remedy));
  }
  return text + (is_good(report) ? "\nAll is in place.\n" : "");
}

Json to_json(const SetupReport& report) {
  Json records = Json::array();
  for (const RecordToPublish& record : report.records) {
    records.push_back({{"name", record.name},
                       {"type", "TXT"},
                       {"text", record.text},
                       {"state", name(record.state)},
                       {"purpose", record.purpose}});
  }
  Json findings = Json::array();
  for (const CheckFinding& finding : report.findings) {
    findings.push_back({{"severity", name(finding.severity)},
                        {"code", finding.code},
                        {"where", finding.where},
                        {"text", finding.text},
                        {"remedy", finding.remedy}});
  }
  return {{"contact", report.contact},
          {"domain", report.domain},
          {"good_keys", report.good_keys},
          {"records", std::move(records)},
          {"findings", std::move(findings)}};
}

int exit_code(const SetupReport& report) {
  if (report.good_keys == 0) {
    return report.undetermined ? kCheckUndetermined : kCheckRefused;
  }
  return is_good(report) ? kCheckGood : kCheckFindings;
}

}  // namespace relay::cli
