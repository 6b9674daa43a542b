#include "conf/names.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

namespace conf {
namespace {

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_label(std::string_view label) {
  // Underscores are no host name characters, but live in domain names that receive mail.
  return !label.empty() && label.size() <= 63 && label.front() != '-' && label.back() != '-' &&
         std::ranges::all_of(
             label, [](char c) { return is_letter(c) || is_digit(c) || c == '-' || c == '_'; });
}

bool is_ip(std::string_view text) {
  const auto network = Network::parse(text);
  return network && text.find('/') == std::string_view::npos;
}

bool is_account(std::string_view text) {
  return !text.empty() && text.size() <= 32 && text.front() != '-' &&
         std::ranges::all_of(text, [](char c) {
           return is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.';
         });
}

std::optional<std::string> refuse_unless(bool fine, std::string_view text,
                                         std::string_view expectation) {
  if (fine) {
    return std::nullopt;
  }
  return fmt::format("\"{}\" {}", text, expectation);
}

constexpr std::string_view kAscii =
    "(internationalised names in their xn-- form, without a trailing dot)";

std::optional<std::string> route_match_fault(std::string_view text) {
  const std::string_view name = text.starts_with("*.") ? text.substr(2) : text;
  return refuse_unless(
      text == "*" || is_domain_name(name), text,
      fmt::format("matches no domain; write example.com, *.example.com or * {}", kAscii));
}

bool is_path(std::string_view text) {
  return text.starts_with('/') && std::ranges::none_of(text, [](char c) {
           const auto octet = static_cast<unsigned char>(c);
           return octet < ' ' || octet == 0x7f;
         });
}

bool is_user(std::string_view text) {
  const std::size_t colon = text.find(':');
  return is_account(text.substr(0, colon)) &&
         (colon == std::string_view::npos || is_account(text.substr(colon + 1)));
}

std::string in_lower_case(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

/// What may stand before the @: a dot-atom, internationalised or not (RFC 6531 §3.3).
bool is_local_part(std::string_view local) {
  constexpr std::string_view kAtext = "!#$%&'*+-/=?^_`{|}~.";
  return !local.empty() && local.size() <= 64 && local.front() != '.' && local.back() != '.' &&
         local.find("..") == std::string_view::npos && std::ranges::all_of(local, [&](char c) {
           return is_letter(c) || is_digit(c) || kAtext.find(c) != std::string_view::npos ||
                  (static_cast<unsigned char>(c) & 0x80U) != 0;
         });
}

bool is_octal_mode(std::string_view text) {
  return (text.size() == 3 || (text.size() == 4 && text.front() == '0')) &&
         std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '7'; });
}

bool is_reply_code(std::string_view text) {
  return text.size() <= 3 && (text.front() == '4' || text.front() == '5') &&
         std::ranges::all_of(text, is_digit);
}

/// "4", "4.7" or "4.7.28" (RFC 3463 §2).
bool is_enhanced_code(std::string_view text) {
  int parts = 0;
  for (; parts < 3; ++parts) {
    const std::string_view part = text.substr(0, text.find('.'));
    if (part.empty() || part.size() > 3 || !std::ranges::all_of(part, is_digit) ||
        (parts == 0 && part != "4" && part != "5")) {
      return false;
    }
    if (part.size() == text.size()) {
      return true;
    }
    text.remove_prefix(part.size() + 1);
  }
  return false;
}

bool is_https_url(std::string_view text) {
  constexpr std::string_view kScheme = "https://";
  if (!text.starts_with(kScheme) ||
      !std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; })) {
    return false;
  }
  const std::string_view rest = text.substr(kScheme.size());
  const std::string_view authority = rest.substr(0, rest.find('/'));
  const std::size_t colon = std::min(authority.rfind(':'), authority.size());
  const std::string_view port = authority.substr(std::min(colon + 1, authority.size()));
  return is_domain_name(authority.substr(0, colon)) && port.size() <= 5 &&
         std::ranges::all_of(port, is_digit);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

bool is_domain_name(std::string_view text) {
  if (text.empty() || text.size() > 253 || is_ip(text)) {
    return false;
  }
  std::string_view rest = text;
  while (true) {
    const std::size_t dot = rest.find('.');
    if (!is_label(rest.substr(0, dot))) {
      return false;
    }
    if (dot == std::string_view::npos) {
      // No top-level domain is numeric (RFC 3696 §2), so this is a mistyped IP address.
      return !std::ranges::all_of(rest, is_digit);
    }
    rest.remove_prefix(dot + 1);
  }
}

bool is_mailbox(std::string_view text) {
  const std::size_t at = text.rfind('@');
  if (at == std::string_view::npos || !is_domain_name(text.substr(at + 1)) ||
      text.find('.', at) == std::string_view::npos) {
    return false;
  }
  const auto ascii = [](char c) { return (static_cast<unsigned char>(c) & 0x80U) == 0; };
  return is_local_part(text.substr(0, at)) && std::ranges::all_of(text.substr(0, at), ascii);
}

std::optional<std::string> parse_address_pattern(std::string_view text) {
  const std::size_t at = text.rfind('@');
  if (at != std::string_view::npos) {
    const bool whole = is_local_part(text.substr(0, at)) && is_domain_name(text.substr(at + 1));
    return whole ? std::optional(in_lower_case(text)) : std::nullopt;
  }
  const std::string_view domain = text.starts_with("*.") ? text.substr(2) : text;
  return is_domain_name(domain) ? std::optional(in_lower_case(text)) : std::nullopt;
}

std::optional<std::string> parse_sender_pattern(std::string_view text) {
  return text == "<>" ? std::optional<std::string>(text) : parse_address_pattern(text);
}

std::optional<std::string> parse_user_name(std::string_view text) {
  const bool plain = std::ranges::none_of(text, [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet < ' ' || octet == 0x7f;
  });
  return plain && !text.empty() && text.size() <= 255 ? std::optional<std::string>(text)
                                                      : std::nullopt;
}

std::optional<std::string> parse_report_uri(std::string_view text) {
  constexpr std::string_view kMail = "mailto:";
  constexpr std::string_view kWeb = "https://";
  const auto plain = [](char c) {
    return c > ' ' && c < '\x7f' && c != ',' && c != ';' && c != '!';
  };
  if (!std::ranges::all_of(text, plain)) {
    return std::nullopt;
  }
  const bool mail = text.starts_with(kMail) && is_mailbox(text.substr(kMail.size()));
  const std::string_view rest = text.starts_with(kWeb) ? text.substr(kWeb.size()) : "";
  const std::string_view authority = rest.substr(0, rest.find('/'));
  const std::size_t host = authority.rfind('@') + 1;
  const bool web = is_domain_name(authority.substr(host, authority.rfind(':') - host));
  return mail || web ? std::optional<std::string>(text) : std::nullopt;
}

std::optional<std::string> parse_certificate_name(std::string_view text) {
  if (auto fingerprint = parse_fingerprint(text)) {
    return fingerprint;
  }
  if (text != "*" && !is_domain_name(text)) {
    return std::nullopt;
  }
  return in_lower_case(text);
}

std::optional<std::string> parse_pattern(std::string_view text) {
  constexpr std::size_t kLongest = 320;
  if (text.empty() || text.size() > kLongest ||
      !std::ranges::all_of(text, [](char c) { return c > ' ' && c != '\x7f'; })) {
    return std::nullopt;
  }
  std::string pattern(text);
  std::ranges::transform(pattern, pattern.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return pattern;
}

std::optional<std::string> fault_of(TextKind kind, std::string_view text) {
  const bool empty = text.empty();
  switch (kind) {
    case TextKind::host_name:
      return refuse_unless(
          empty || (is_domain_name(text) && text.find('.') != std::string_view::npos &&
                    text.find('_') == std::string_view::npos),
          text, "is no fully qualified host name; write for example relay.example.com");
    case TextKind::user:
      return refuse_unless(empty || is_user(text), text,
                           "names no account; write a user, or user:group");
    case TextKind::directory:
      // The daemon keeps the folder to itself.
      return refuse_unless(is_path(text) && text.find_first_not_of("/.") != std::string_view::npos,
                           text,
                           "is no absolute path of a folder of its own; write for example "
                           "/var/lib/stsrelay");
    case TextKind::file:
      return refuse_unless(empty || is_path(text), text,
                           "is no absolute path; it must begin with /");
    case TextKind::route_match:
      return empty ? std::nullopt : route_match_fault(text);
    case TextKind::domain:
      return refuse_unless(
          empty || is_domain_name(text), text,
          fmt::format("is no domain name; write for example example.com {}", kAscii));
    case TextKind::next_hop:
      return refuse_unless(
          empty || is_domain_name(text) || is_ip(text), text,
          "is no host; write a host name, or an IP address without brackets and port");
    case TextKind::mailbox:
      return refuse_unless(empty || is_mailbox(text), text,
                           "is no mail address; write for example tls-reports@example.com");
    case TextKind::socket_mode:
      return refuse_unless(is_octal_mode(text), text,
                           "is no file mode; write three octal digits, for example \"0660\"");
    case TextKind::sender_match:
      return refuse_unless(
          parse_address_pattern(text).has_value(), text,
          "is no sender; write user@example.com, example.com or *.example.com (all below it)");
    case TextKind::sender_target:
      return refuse_unless(
          is_mailbox(text) || (text.starts_with('@') && is_mailbox(fmt::format("x{}", text))), text,
          "is no sender; write user@example.com, or @example.com to keep what stands before the @");
    case TextKind::event_target:
      return refuse_unless(
          empty || is_path(text) || (text.starts_with("https://") && parse_report_uri(text)), text,
          "is neither a socket's absolute path nor an https address; write for example "
          "https://hooks.example.com/mail");
    case TextKind::account_name:
      return refuse_unless(is_account(text), text,
                           "is no name; write up to 32 letters, digits, - _ or .");
    case TextKind::reason:
      return refuse_unless(is_reason(text), text, kNoReason);
    case TextKind::route_sender:
      return refuse_unless(
          empty || is_mailbox(text) || parse_rule_domain(text), text,
          "is no sender; write an address, example.org, or *.example.org for all domains below it");
    case TextKind::ipv4:
      return refuse_unless(empty || (is_ip(text) && text.find(':') == std::string_view::npos), text,
                           "is no IPv4 address; write for example 192.0.2.1");
    case TextKind::ipv6:
      return refuse_unless(empty || (is_ip(text) && text.find(':') != std::string_view::npos), text,
                           "is no IPv6 address; write for example 2001:db8::1, without brackets");
    case TextKind::https_url:
      return refuse_unless(empty || is_https_url(text), text,
                           "is no URL of a token endpoint; write for example "
                           "https://login.example.com/oauth2/token");
    case TextKind::credential:
      return refuse_unless(is_reason(text), text, kNoReason);
    case TextKind::reply_code:
      return refuse_unless(empty || is_reply_code(text), text,
                           "is no beginning of a refusal's code; write for example 421, 45 or 4");
    case TextKind::enhanced_code:
      return refuse_unless(empty || is_enhanced_code(text), text,
                           "is no beginning of an enhanced code; write for example 4.7 or 5.7.1");
    case TextKind::rate:
      return refuse_unless(empty || parse_rate(text), text,
                           "is no rate; write for example 5/s, 100/m, 1000/h or 20000/d");
  }
  return std::nullopt;
}

std::optional<std::string> nearest(std::string_view text, const std::vector<std::string>& known) {
  const auto distance = [text](const std::string& name) { return edit_distance(text, name); };
  // Keys are short; text comes from a file and may be anything.
  if (known.empty() || text.size() > 64) {
    return std::nullopt;
  }
  const std::string& best = *std::ranges::min_element(known, {}, distance);
  if (distance(best) > std::max<std::size_t>(1, best.size() / 3)) {
    return std::nullopt;
  }
  return best;
}

}  // namespace conf
