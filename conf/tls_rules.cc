#include "conf/tls_rules.h"

#include <algorithm>

#include <fmt/format.h>

#include "conf/names.h"

namespace conf {
namespace {

std::string lower(std::string_view text) {
  std::string copy(text);
  std::ranges::transform(copy, copy.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return copy;
}

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

/// So many digits at a place; nullopt if there is anything else.
std::optional<int> digits(std::string_view text, std::size_t position, std::size_t count) {
  int value = 0;
  for (const char c : text.substr(position, count)) {
    if (c < '0' || c > '9') {
      return std::nullopt;
    }
    value = value * 10 + (c - '0');
  }
  return value;
}

std::optional<std::chrono::sys_days> parse_date(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') {
    return std::nullopt;
  }
  const auto year = digits(text, 0, 4);
  const auto month = digits(text, 5, 2);
  const auto day = digits(text, 8, 2);
  if (!year || !month || !day) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year(*year),
                                         std::chrono::month(static_cast<unsigned>(*month)),
                                         std::chrono::day(static_cast<unsigned>(*day))};
  return date.ok() ? std::optional(std::chrono::sys_days(date)) : std::nullopt;
}

std::string date_text(std::chrono::sys_days day) {
  const std::chrono::year_month_day date(day);
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

/// Beside mx: whether the level would let a host pass that has not proved its name.
bool is_weaker_than_verify(TlsLevel level) {
  switch (level) {
    case TlsLevel::none:
    case TlsLevel::opportunistic:
    case TlsLevel::encrypt:
    case TlsLevel::dane:  // demands nothing of a host without TLSA records
      return true;
    case TlsLevel::verify:
    case TlsLevel::dane_only:
    case TlsLevel::fingerprint:
      return false;
  }
  return true;
}

std::optional<RuleFault> exemption_fault(const TlsRule& rule) {
  if (!rule.until) {
    return RuleFault{"until",
                     fmt::format("level {} exempts the domain from its TLS policies; say until "
                                 "when, for example 2026-12-31",
                                 name(rule.effective_level()))};
  }
  if (rule.reason.empty()) {
    return RuleFault{"reason",
                     fmt::format("level {} exempts the domain from its TLS policies; say why, for "
                                 "example \"expired certificate, ticket 123\"",
                                 name(rule.effective_level()))};
  }
  return std::nullopt;
}

}  // namespace

std::string_view name(TlsLevel level) {
  return kTlsLevelNames.at(static_cast<std::size_t>(level));
}

std::optional<TlsLevel> parse_tls_level(std::string_view text) {
  const auto* const found = std::ranges::find(kTlsLevelNames, text);
  if (found == kTlsLevelNames.end()) {
    return std::nullopt;
  }
  return static_cast<TlsLevel>(found - kTlsLevelNames.begin());
}

TlsLevel TlsRule::effective_level() const {
  if (level) {
    return *level;
  }
  if (!fingerprints.empty()) {
    return TlsLevel::fingerprint;
  }
  return mx.empty() ? TlsLevel::opportunistic : TlsLevel::verify;
}

bool TlsRule::exempts() const {
  return level == TlsLevel::none || level == TlsLevel::opportunistic;
}

std::optional<RuleFault> fault_of(const TlsRule& rule) {
  if (!rule.level && rule.mx.empty() && rule.fingerprints.empty()) {
    if (rule.report_only) {
      return RuleFault{"level", "is missing; say what is to be reported only: level, mx or both"};
    }
    return RuleFault{"", "says nothing; give a level, mx or fingerprints, or remove it"};
  }
  const TlsLevel level = rule.effective_level();
  if (!rule.mx.empty() && is_weaker_than_verify(level)) {
    return RuleFault{"level", fmt::format("{} contradicts mx, whose hosts must prove their names; "
                                          "write verify, or remove one of the two",
                                          name(level))};
  }
  if (level == TlsLevel::fingerprint && rule.fingerprints.empty()) {
    return RuleFault{"fingerprints", "is missing or empty; level fingerprint needs at least one"};
  }
  if (level != TlsLevel::fingerprint && !rule.fingerprints.empty()) {
    return RuleFault{"level", fmt::format("{} does not look at fingerprints; write fingerprint, or "
                                          "remove them",
                                          name(level))};
  }
  return rule.exempts() ? exemption_fault(rule) : std::nullopt;
}

std::optional<Moment> parse_moment(std::string_view text) {
  const auto day = parse_date(text.substr(0, 10));
  if (!day) {
    return std::nullopt;
  }
  if (text.size() == 10) {
    return *day + std::chrono::days(1);
  }
  if (text.size() != 20 || text[10] != 'T' || text[13] != ':' || text[16] != ':' ||
      text[19] != 'Z') {
    return std::nullopt;
  }
  const auto hour = digits(text, 11, 2);
  const auto minute = digits(text, 14, 2);
  const auto second = digits(text, 17, 2);
  if (!hour || !minute || !second || *hour > 23 || *minute > 59 || *second > 59) {
    return std::nullopt;
  }
  return Moment(*day) + std::chrono::hours(*hour) + std::chrono::minutes(*minute) +
         std::chrono::seconds(*second);
}

std::string to_text(Moment moment) {
  const auto day = std::chrono::floor<std::chrono::days>(moment);
  if (moment == day) {
    return date_text(day - std::chrono::days(1));
  }
  const std::chrono::hh_mm_ss clock(std::chrono::floor<std::chrono::seconds>(moment - day));
  return fmt::format("{}T{:02}:{:02}:{:02}Z", date_text(day), clock.hours().count(),
                     clock.minutes().count(), clock.seconds().count());
}

std::optional<std::string> parse_fingerprint(std::string_view text) {
  constexpr std::size_t kDigits = 64;
  std::string hex = lower(text);
  if (text.size() == kDigits + kDigits / 2 - 1) {
    hex.clear();
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (i % 3 != 2) {
        hex += lower(text.substr(i, 1));
      } else if (text[i] != ':') {
        return std::nullopt;
      }
    }
  }
  if (hex.size() != kDigits || !std::ranges::all_of(hex, is_hex)) {
    return std::nullopt;
  }
  return hex;
}

std::optional<std::string> parse_mx_pattern(std::string_view text) {
  const std::string_view host = text.starts_with("*.") ? text.substr(2) : text;
  const std::string_view top = host.substr(host.rfind('.') + 1);
  // RFC 5321 §4.1.2: host names have no underscore; a last label of digits is an IP address.
  const bool numeric = std::ranges::all_of(top, [](char c) { return c >= '0' && c <= '9'; });
  if (!is_domain_name(host) || host.find('_') != std::string_view::npos || numeric) {
    return std::nullopt;
  }
  return lower(text);
}

std::optional<std::string> parse_rule_domain(std::string_view text) {
  if (!is_domain_name(text.starts_with("*.") ? text.substr(2) : text)) {
    return std::nullopt;
  }
  return lower(text);
}

bool is_reason(std::string_view text) {
  return text.size() <= 500 && std::ranges::none_of(text, [](char c) {
           const auto octet = static_cast<unsigned char>(c);
           return octet < ' ' || octet == 0x7f;
         });
}

}  // namespace conf
