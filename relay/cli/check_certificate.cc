#include "relay/cli/check_certificate.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

#include "relay/control/timestamp.h"

namespace relay::cli {
namespace {

using std::chrono::days;

constexpr long kSoon = 14;  // days
constexpr std::size_t kNamesShown = 6;

std::string day_of(const std::optional<net::WallTime>& time) {
  return time ? control::day_text(std::chrono::floor<days>(*time)) : "?";
}

std::string day_count(long count) {
  return fmt::format("{} day{}", count, count == 1 ? "" : "s");
}

Json moment_json(const std::optional<net::WallTime>& time) {
  return time ? Json(control::to_rfc3339(*time)) : Json(nullptr);
}

}  // namespace

std::optional<long> days_left(const net::CertificateSummary& certificate, net::WallTime now) {
  if (!certificate.valid_until) {
    return std::nullopt;
  }
  return std::chrono::floor<days>(*certificate.valid_until - now).count();
}

bool expires_soon(const net::CertificateSummary& certificate, net::WallTime now) {
  const auto left = days_left(certificate, now);
  return left && *left >= 0 && *left < kSoon;
}

std::string names_text(const net::CertificateSummary& certificate) {
  const auto& names = certificate.dns_names;
  if (names.empty()) {
    return fmt::format("no DNS name (subject {})", printable(certificate.subject));
  }
  std::vector<std::string> shown;
  for (std::size_t i = 0; i < std::min(names.size(), kNamesShown); ++i) {
    shown.push_back(printable(names[i]));
  }
  return fmt::format(
      "{}{}", fmt::join(shown, ", "),
      names.size() > kNamesShown ? fmt::format(" and {} more", names.size() - kNamesShown) : "");
}

std::string validity_text(const net::CertificateSummary& certificate, net::WallTime now) {
  std::string text =
      fmt::format("{} to {}", day_of(certificate.valid_from), day_of(certificate.valid_until));
  if (certificate.valid_from && *certificate.valid_from > now) {
    return text + ", not valid yet";
  }
  if (const auto left = days_left(certificate, now)) {
    text += *left < 0 ? fmt::format(", ended {} ago", day_count(-*left))
                      : fmt::format(", {} left", day_count(*left));
  }
  return text;
}

std::string certificate_line(const net::ChainSummary& chain, net::WallTime now) {
  if (chain.empty()) {
    return "none shown";
  }
  const net::CertificateSummary& leaf = chain.front();
  return fmt::format("{}; issued by {}; {}", names_text(leaf), printable(leaf.issuer),
                     validity_text(leaf, now));
}

std::string issuers_line(const net::ChainSummary& chain) {
  std::vector<std::string> shown;
  for (std::size_t i = 1; i < chain.size(); ++i) {
    shown.push_back(
        fmt::format("{} until {}", printable(chain[i].subject), day_of(chain[i].valid_until)));
  }
  return fmt::format("{}", fmt::join(shown, "; "));
}

Json chain_json(const net::ChainSummary& chain, net::WallTime now) {
  Json json = Json::array();
  for (const net::CertificateSummary& certificate : chain) {
    const auto left = days_left(certificate, now);
    json.push_back({{"names", certificate.dns_names},
                    {"subject", certificate.subject},
                    {"issuer", certificate.issuer},
                    {"valid_from", moment_json(certificate.valid_from)},
                    {"valid_until", moment_json(certificate.valid_until)},
                    {"days_left", left ? Json(*left) : Json(nullptr)}});
  }
  return json;
}

}  // namespace relay::cli
