#include "conf/names.h"

#include <algorithm>
#include <array>
#include <numeric>

#include <fmt/format.h>

#include "conf/listener.h"

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

/// What a kind of text must be, and how a fault is told after the text itself.
struct TextForm {
  TextKind kind;
  enum class Empty { refused, allowed } empty;
  bool (*accepts)(std::string_view);
  std::string_view expectation;
};

bool is_route_match(std::string_view text) {
  return text == "*" || is_domain_name(text.starts_with("*.") ? text.substr(2) : text);
}

bool is_event_target(std::string_view text) {
  return is_path(text) || (text.starts_with("https://") && parse_report_uri(text));
}

bool is_sender_target(std::string_view text) {
  return is_mailbox(text) || (text.starts_with('@') && is_mailbox(fmt::format("x{}", text)));
}

constexpr auto kMayBeEmpty = TextForm::Empty::allowed;
constexpr auto kNeverEmpty = TextForm::Empty::refused;

constexpr std::array kTextForms{
    TextForm{TextKind::host_name, kMayBeEmpty,
             [](std::string_view text) {
               return is_domain_name(text) && text.find('.') != std::string_view::npos &&
                      text.find('_') == std::string_view::npos;
             },
             "is no fully qualified host name; write for example relay.example.com"},
    TextForm{TextKind::user, kMayBeEmpty, is_user, "names no account; write a user, or user:group"},
    // The daemon keeps the folder to itself.
    TextForm{TextKind::directory, kNeverEmpty,
             [](std::string_view text) {
               return is_path(text) && text.find_first_not_of("/.") != std::string_view::npos;
             },
             "is no absolute path of a folder of its own; write for example /var/lib/stsrelay"},
    TextForm{TextKind::file, kMayBeEmpty, is_path, "is no absolute path; it must begin with /"},
    TextForm{TextKind::route_match, kMayBeEmpty, is_route_match,
             "matches no domain; write example.com, *.example.com or * (internationalised names in "
             "their xn-- form, without a trailing dot)"},
    TextForm{TextKind::domain, kMayBeEmpty, is_domain_name,
             "is no domain name; write for example example.com (internationalised names in their "
             "xn-- form, without a trailing dot)"},
    TextForm{TextKind::next_hop, kMayBeEmpty,
             [](std::string_view text) { return is_domain_name(text) || is_ip(text); },
             "is no host; write a host name, or an IP address without brackets and port"},
    TextForm{TextKind::reason, kNeverEmpty, is_reason, kNoReason},
    TextForm{TextKind::mailbox, kMayBeEmpty, is_mailbox,
             "is no mail address; write for example tls-reports@example.com"},
    TextForm{TextKind::socket_mode, kNeverEmpty, is_octal_mode,
             "is no file mode; write three octal digits, for example \"0660\""},
    TextForm{TextKind::sender_match, kNeverEmpty,
             [](std::string_view text) { return parse_address_pattern(text).has_value(); },
             "is no sender; write user@example.com, example.com or *.example.com (all below it)"},
    TextForm{TextKind::sender_target, kNeverEmpty, is_sender_target,
             "is no sender; write user@example.com, or @example.com to keep what stands before the "
             "@"},
    TextForm{TextKind::route_sender, kMayBeEmpty,
             [](std::string_view text) {
               return is_mailbox(text) || parse_rule_domain(text).has_value();
             },
             "is no sender; write an address, example.org, or *.example.org for all domains below "
             "it"},
    TextForm{
        TextKind::route_listener, kMayBeEmpty,
        [](std::string_view text) { return parse_listen_address(text, kListenPort).has_value(); },
        "is no address of a listener; write one as it stands in listen, for example "
        "192.0.2.1:25 or unix:/run/stsrelay/smtp.sock"},
    TextForm{TextKind::ipv4, kMayBeEmpty,
             [](std::string_view text) {
               return is_ip(text) && text.find(':') == std::string_view::npos;
             },
             "is no IPv4 address; write for example 192.0.2.1"},
    TextForm{TextKind::ipv6, kMayBeEmpty,
             [](std::string_view text) {
               return is_ip(text) && text.find(':') != std::string_view::npos;
             },
             "is no IPv6 address; write for example 2001:db8::1, without brackets"},
    TextForm{TextKind::https_url, kMayBeEmpty, is_https_url,
             "is no URL of a token endpoint; write for example "
             "https://login.example.com/oauth2/token"},
    TextForm{TextKind::credential, kNeverEmpty, is_reason, kNoReason},
    TextForm{TextKind::rate, kMayBeEmpty,
             [](std::string_view text) { return parse_rate(text).has_value(); },
             "is no rate; write for example 5/s, 100/m, 1000/h or 20000/d"},
    TextForm{TextKind::reply_code, kMayBeEmpty, is_reply_code,
             "is no beginning of a refusal's code; write for example 421, 45 or 4"},
    TextForm{TextKind::enhanced_code, kMayBeEmpty, is_enhanced_code,
             "is no beginning of an enhanced code; write for example 4.7 or 5.7.1"},
    TextForm{TextKind::event_target, kMayBeEmpty, is_event_target,
             "is neither a socket's absolute path nor an https address; write for example "
             "https://hooks.example.com/mail"},
    TextForm{TextKind::account_name, kNeverEmpty, is_account,
             "is no name; write up to 32 letters, digits, - _ or ."},
};

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
  const auto* form = std::ranges::find(kTextForms, kind, &TextForm::kind);
  const bool fine =
      text.empty() && form->empty == TextForm::Empty::allowed ? true : form->accepts(text);
  return fine ? std::nullopt : std::optional(fmt::format("\"{}\" {}", text, form->expectation));
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
