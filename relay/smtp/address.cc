#include "relay/smtp/address.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <utility>

#include "relay/net/domain_name.h"
#include "relay/smtp/ascii.h"

namespace relay::smtp {
namespace {

constexpr std::size_t kMaxLocal = 64;
constexpr std::size_t kMaxPath = 256;

bool is_atext(char c) {
  constexpr std::string_view kSpecials = "!#$%&'*+-/=?^_`{|}~";
  return is_alnum(c) || !is_ascii(c) || kSpecials.find(c) != std::string_view::npos;
}

bool is_dot_string(std::string_view local) {
  bool after_dot = true;
  for (const char c : local) {
    if (c == '.' ? after_dot : !is_atext(c)) {
      return false;
    }
    after_dot = c == '.';
  }
  return !after_dot;
}

// Length of the quoted string at the start of text; 0 when it has no end or bad characters.
std::size_t quoted_length(std::string_view text) {
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      return i + 1;
    }
    if (text[i] == '\\') {
      ++i;
    }
    if (i < text.size() && is_control(text[i])) {
      return 0;
    }
  }
  return 0;
}

// RFC 5321 §4.1.2: a sub-domain begins and ends with a letter or digit. Underscores are in use.
bool has_hyphen_at_label_end(std::string_view domain) {
  return domain.starts_with('-') || domain.ends_with('-') ||
         domain.find(".-") != std::string_view::npos || domain.find("-.") != std::string_view::npos;
}

std::optional<std::string> literal(std::string_view text) {
  if (!text.starts_with('[') || !text.ends_with(']') || text.size() > 64 ||
      text.find('\0') != std::string_view::npos) {
    return std::nullopt;
  }
  auto inner = lower(text.substr(1, text.size() - 2));
  std::array<unsigned char, sizeof(in6_addr)> binary{};
  const bool v6 = inner.starts_with("ipv6:");
  const int family = v6 ? AF_INET6 : AF_INET;
  const std::string ip = v6 ? inner.substr(5) : inner;
  if (inet_pton(family, ip.c_str(), binary.data()) != 1) {
    return std::nullopt;
  }
  return (v6 ? "[IPv6:" : "[") + ip + "]";
}

// The octets of the UTF-8 sequence that begins text; 0 when it is overlong, cut, a surrogate or
// over U+10FFFF (RFC 3629 §4).
std::size_t utf8_length(std::string_view text) {
  struct Form {
    unsigned char first_low, first_high, second_low, second_high;
    std::size_t length;
  };
  constexpr std::array<Form, 9> kForms{{{0x00, 0x7f, 0x80, 0xbf, 1},
                                        {0xc2, 0xdf, 0x80, 0xbf, 2},
                                        {0xe0, 0xe0, 0xa0, 0xbf, 3},
                                        {0xe1, 0xec, 0x80, 0xbf, 3},
                                        {0xed, 0xed, 0x80, 0x9f, 3},
                                        {0xee, 0xef, 0x80, 0xbf, 3},
                                        {0xf0, 0xf0, 0x90, 0xbf, 4},
                                        {0xf1, 0xf3, 0x80, 0xbf, 4},
                                        {0xf4, 0xf4, 0x80, 0x8f, 4}}};
  const auto octet = [text](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto* form = std::find_if(kForms.begin(), kForms.end(), [&](const Form& one) {
    return octet(0) >= one.first_low && octet(0) <= one.first_high;
  });
  if (form == kForms.end() || form->length > text.size()) {
    return 0;
  }
  if (form->length > 1 && (octet(1) < form->second_low || octet(1) > form->second_high)) {
    return 0;
  }
  for (std::size_t i = 2; i < form->length; ++i) {
    if ((octet(i) & 0xc0U) != 0x80) {
      return 0;
    }
  }
  return form->length;
}

// Length of the path up to the closing bracket, which may be quoted inside the local part.
std::size_t path_end(std::string_view text) {
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (quoted && text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = !quoted;
    } else if (text[i] == '>' && !quoted) {
      return i;
    }
  }
  return std::string_view::npos;
}

}  // namespace

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto length = utf8_length(text);
    if (length == 0) {
      return false;
    }
    text.remove_prefix(length);
  }
  return true;
}

std::string_view explanation(AddressFault fault) {
  switch (fault) {
    case AddressFault::syntax:
      return "Bad address syntax";
    case AddressFault::no_domain:
      return "Address without a domain";
    case AddressFault::local_too_long:
      return "Local part longer than 64 octets";
    case AddressFault::path_too_long:
      return "Path longer than 256 octets";
    case AddressFault::domain:
      return "Bad domain in address";
    case AddressFault::not_utf8:
      return "Address is not UTF-8";
  }
  return {};
}

Expected<Address, AddressFault> parse_mailbox(std::string_view text) {
  if (!is_utf8(text)) {
    return Unexpected<AddressFault>(AddressFault::not_utf8);
  }
  const bool quoted = text.starts_with('"');
  const auto length = quoted ? quoted_length(text) : std::min(text.find('@'), text.size());
  const auto local = text.substr(0, length);
  if (local.empty() || (!quoted && !is_dot_string(local))) {
    return Unexpected<AddressFault>(AddressFault::syntax);
  }
  if (local.size() > kMaxLocal) {
    return Unexpected<AddressFault>(AddressFault::local_too_long);
  }
  text.remove_prefix(length);
  if (text.empty()) {
    return Unexpected<AddressFault>(AddressFault::no_domain);
  }
  if (text.front() != '@') {
    return Unexpected<AddressFault>(AddressFault::syntax);
  }
  text.remove_prefix(1);
  const bool utf8 = !std::all_of(local.begin(), local.end(), is_ascii);
  if (text.starts_with('[')) {
    auto ip = literal(text);
    if (!ip) {
      return Unexpected<AddressFault>(AddressFault::domain);
    }
    return Address{std::string(local), *std::move(ip), true, utf8};
  }
  auto domain = net::DomainName::parse(text);
  if (!domain || has_hyphen_at_label_end(domain->text())) {
    return Unexpected<AddressFault>(AddressFault::domain);
  }
  return Address{std::string(local), domain->text(), false, utf8};
}

Expected<std::optional<Address>, AddressFault> take_path(std::string_view& text) {
  text.remove_prefix(std::min(text.find_first_not_of(' '), text.size()));
  if (!text.starts_with('<')) {
    return Unexpected<AddressFault>(AddressFault::syntax);
  }
  const auto end = path_end(text);
  if (end == std::string_view::npos) {
    return Unexpected<AddressFault>(AddressFault::syntax);
  }
  auto path = text.substr(1, end - 1);
  text.remove_prefix(end + 1);
  if (path.size() + 2 > kMaxPath) {
    return Unexpected<AddressFault>(AddressFault::path_too_long);
  }
  if (path.empty()) {
    return std::nullopt;
  }
  if (path.starts_with('@')) {
    const auto colon = path.find(':');
    if (colon == std::string_view::npos) {
      return Unexpected<AddressFault>(AddressFault::syntax);
    }
    path.remove_prefix(colon + 1);
  }
  auto mailbox = parse_mailbox(path);
  if (!mailbox) {
    return Unexpected<AddressFault>(mailbox.error());
  }
  return std::optional(*std::move(mailbox));
}

}  // namespace relay::smtp
