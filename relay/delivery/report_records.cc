#include "relay/delivery/report_records.h"

#include <optional>
#include <utility>
#include <variant>

#include "relay/net/domain_name.h"
#include "rpt/record.h"
#include "rpt/tally.h"

namespace relay::delivery {
namespace {

/// Beyond it, domains are asked for again: the DNS cache answers.
constexpr std::size_t kDomainsKept = 100'000;
constexpr std::size_t kQuestions = 100;
/// Sessions of earlier days mean that the clock was set back.
constexpr std::chrono::days kLate{1};

std::optional<std::string> ascii_name(std::string_view name) {
  const auto parsed = net::DomainName::parse(name);
  return parsed ? std::optional(parsed->text()) : std::nullopt;
}

}  // namespace

void ReportRecords::counted(const std::vector<rpt::SessionResult>& sessions) {
  for (const rpt::SessionResult& session : sessions) {
    const auto day = rpt::report_day(session);
    if (day > day_ || day < day_ - kLate || known_.size() >= kDomainsKept) {
      known_.clear();
      day_ = day;
    }
    spool::ReportKey key{day, session.report_domain};
    const bool known = day == day_ && known_.contains(key.domain);
    if (!known && !questions_.contains(key) && questions_.size() < kQuestions) {
      ask(key);
    }
  }
}

void ReportRecords::ask(const spool::ReportKey& key) {
  questions_[key] =
      dns_.query("_smtp._tls." + key.domain, net::DnsType::txt, net::DnsCacheUse::allowed,
                 [this, key](const net::DnsResult& answer) { answered(key, answer); });
}

void ReportRecords::answered(const spool::ReportKey& key, const net::DnsResult& answer) {
  const net::Operation over = std::move(questions_[key]);
  questions_.erase(key);
  if (std::holds_alternative<net::DnsFailure>(answer)) {
    return;
  }
  if (key.day == day_) {
    known_.insert(key.domain);
  }
  const auto* found = std::get_if<net::DnsAnswer>(&answer);
  const auto* texts =
      found == nullptr ? nullptr : std::get_if<std::vector<std::string>>(&found->records);
  const auto record =
      rpt::parse_records(texts == nullptr ? std::vector<std::string>{} : *texts, ascii_name);
  if (!record || record->destinations.empty()) {
    return;
  }
  spool::SeenRecord seen{key, {}};
  for (const rpt::Destination& destination : record->destinations) {
    seen.uris.push_back(rpt::uri_with_credentials(destination));
  }
  spool::ReportWrite write;
  write.records.push_back(std::move(seen));
  spool_.write_report(std::move(write), loop_, {});
}

}  // namespace relay::delivery
