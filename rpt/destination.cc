// One rua URI (RFC 8460 §3): RFC 3986, mailto of RFC 6068, https of RFC 9110 §4.2.
#include <algorithm>
#include <charconv>

#include "rpt/record.h"
#include "rpt/text.h"

namespace rpt {
namespace {

constexpr std::string_view kHexDigits = "0123456789ABCDEF";
constexpr std::size_t kMaxDomain = 253;
constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxLocalPart = 64;
constexpr std::size_t kMaxCredentials = 512;
constexpr std::uint16_t kHttpsPort = 443;

Unexpected<std::string> because(std::string_view reason) {
  return Unexpected<std::string>{std::string{reason}};
}

bool is_unreserved(char c) {
  return is_alnum(c) || std::string_view{"-._~"}.find(c) != std::string_view::npos;
}

// RFC 3986 §2 without "!", "," and ";", which RFC 8460 §3 wants encoded. Beyond ASCII is no URI but
// an IRI, and RFC 3987 §3.1 says what it stands for.
bool is_uri_char(char c) {
  return is_unreserved(c) || !is_ascii(c) ||
         std::string_view{":/?#[]@$&'()*+=%"}.find(c) != std::string_view::npos;
}

int hex_value(char c) {
  const auto at = kHexDigits.find(c >= 'a' && c <= 'f' ? static_cast<char>(c - 'a' + 'A') : c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

bool has_good_escapes(std::string_view text) {
  for (auto at = text.find('%'); at != std::string_view::npos; at = text.find('%', at + 3)) {
    if (text.size() - at < 3 || hex_value(text[at + 1]) < 0 || hex_value(text[at + 2]) < 0) {
      return false;
    }
  }
  return true;
}

// The octet that the escape at text[at] stands for.
char escaped_octet(std::string_view text, std::size_t at) {
  return static_cast<char>(hex_value(text[at + 1]) * 16 + hex_value(text[at + 2]));
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      decoded.push_back(escaped_octet(text, i));
      i += 2;
    } else {
      decoded.push_back(text[i]);
    }
  }
  return decoded;
}

void append_encoded(std::string& text, char c) {
  const auto octet = static_cast<unsigned char>(c);
  text.push_back('%');
  text.push_back(kHexDigits[octet / 16]);
  text.push_back(kHexDigits[octet % 16]);
}

std::string percent_encoded(std::string_view text, std::string_view also_plain) {
  std::string encoded;
  for (const char c : text) {
    if (is_unreserved(c) || also_plain.find(c) != std::string_view::npos) {
      encoded.push_back(c);
    } else {
      append_encoded(encoded, c);
    }
  }
  return encoded;
}

// RFC 3986 §6.2.2: one spelling for each path; what must be encoded stays so.
std::string normal_path(std::string_view text) {
  std::string path = text.starts_with('/') ? "" : "/";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool escape = text[i] == '%';
    const char c = escape ? escaped_octet(text, i) : text[i];
    if (is_unreserved(c) || (!escape && is_ascii(c))) {
      path.push_back(c);
    } else {
      append_encoded(path, c);
    }
    i += escape ? 2 : 0;
  }
  return path;
}

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= kMaxLabel && label.front() != '-' &&
         label.back() != '-' && std::all_of(label.begin(), label.end(), [](char c) {
           return is_alnum(c) || c == '-' || c == '_';
         });
}

// "127.1" and "0x7f000001" are addresses to inet_aton(), and so to many a resolver.
bool ends_in_number(std::string_view name) {
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return (!last.empty() && std::all_of(last.begin(), last.end(), is_digit)) ||
         (last.starts_with("0x") &&
          std::all_of(last.begin() + 2, last.end(), [](char c) { return hex_value(c) >= 0; }));
}

Expected<std::string, std::string> host_name(std::string_view text, const ToAscii& to_ascii) {
  std::string name{text};
  if (!std::all_of(name.begin(), name.end(), is_ascii)) {
    auto converted = to_ascii ? to_ascii(name) : std::nullopt;
    if (!converted) {
      return because("bad-domain");
    }
    name = std::move(*converted);
  }
  name = lower(name);
  if (name.ends_with('.')) {
    name.pop_back();
  }
  if (name.starts_with('[') || (!name.empty() && ends_in_number(name))) {
    return because("ip-address");
  }
  // A name of one label is one of our own network.
  if (name.size() > kMaxDomain || name.find('.') == std::string::npos) {
    return because("bad-domain");
  }
  for (std::size_t begin = 0; begin <= name.size();) {
    const auto end = std::min(name.find('.', begin), name.size());
    if (!is_label(std::string_view{name}.substr(begin, end - begin))) {
      return because("bad-domain");
    }
    begin = end + 1;
  }
  return name;
}

bool is_dot_atom(std::string_view text) {
  return !text.empty() && text.front() != '.' && text.back() != '.' &&
         text.find("..") == std::string_view::npos &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return is_alnum(c) ||
                  std::string_view{"!#$%&'*+-/=?^_`{|}~."}.find(c) != std::string_view::npos;
         });
}

// The content of the quoted string that text begins with, which is consumed.
std::optional<std::string> take_quoted(std::string_view& text) {
  std::string content;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') {
      text.remove_prefix(i + 1);
      return content;
    }
    if (text[i] == '\\' && ++i == text.size()) {
      break;
    }
    content.push_back(text[i]);
  }
  return std::nullopt;
}

// RFC 5321 §4.1.2 Local-part: a quoted string only where it must be one.
std::string local_part(std::string_view content) {
  if (is_dot_atom(content)) {
    return std::string{content};
  }
  std::string quoted = "\"";
  for (const char c : content) {
    if (c == '"' || c == '\\') {
      quoted.push_back('\\');
    }
    quoted.push_back(c);
  }
  return quoted + '"';
}

struct Parts {
  std::string local;  ///< without quotes
  std::string_view domain;
};

Expected<Parts, std::string> split_address(std::string_view address) {
  if (address.starts_with('"')) {
    auto content = take_quoted(address);
    if (!content || !address.starts_with('@')) {
      return because("bad-mailbox");
    }
    return Parts{std::move(*content), address.substr(1)};
  }
  const auto at = address.rfind('@');
  if (at == std::string_view::npos) {
    return because("bad-mailbox");
  }
  const std::string_view local = address.substr(0, at);
  if (local.find('@') != std::string_view::npos) {
    return because(local.find(',') == std::string_view::npos ? "bad-mailbox"
                                                             : "several-recipients");
  }
  return Parts{std::string{local}, address.substr(at + 1)};
}

Expected<Destination, std::string> parse_mailto(std::string_view rest, const ToAscii& to_ascii) {
  // RFC 6068 §2: what follows "?" would set header fields of our mail, so it is dropped.
  const std::string address = percent_decoded(rest.substr(0, rest.find_first_of("?#")));
  const auto parts = split_address(address);
  if (!parts) {
    return Unexpected<std::string>{parts.error()};
  }
  const std::string local = local_part(parts->local);
  if (parts->local.empty() || local.size() > kMaxLocalPart ||
      !std::all_of(local.begin(), local.end(), is_printable)) {
    return because("bad-mailbox");
  }
  const auto domain = host_name(parts->domain, to_ascii);
  if (!domain) {
    return Unexpected<std::string>{domain.error()};
  }
  Destination destination;
  destination.scheme = Scheme::mailto;
  destination.mailbox = local + '@' + *domain;
  destination.uri = "mailto:" + percent_encoded(local, "$'*+") + '@' + *domain;
  return destination;
}

std::optional<std::uint16_t> parse_port(std::string_view digits) {
  if (digits.empty()) {
    return kHttpsPort;
  }
  std::uint16_t port = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, port);
  return error == std::errc{} && rest == end && port != 0 ? std::optional{port} : std::nullopt;
}

Expected<Destination, std::string> parse_https(std::string_view rest, const ToAscii& to_ascii) {
  if (!rest.starts_with("//")) {
    return because("bad-domain");
  }
  rest.remove_prefix(2);
  std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  rest.remove_prefix(authority.size());
  Destination destination;
  destination.scheme = Scheme::https;
  if (const auto at = authority.rfind('@'); at != std::string_view::npos) {
    destination.userinfo = percent_decoded(authority.substr(0, at));
    authority.remove_prefix(at + 1);
    if (destination.userinfo.size() > kMaxCredentials ||
        !std::all_of(destination.userinfo.begin(), destination.userinfo.end(), is_printable)) {
      return because("bad-credentials");
    }
  }
  if (authority.starts_with('[')) {
    return because("ip-address");
  }
  const auto colon = std::min(authority.find(':'), authority.size());
  const auto port = parse_port(authority.substr(std::min(colon + 1, authority.size())));
  if (!port) {
    return because("bad-port");
  }
  auto host = host_name(percent_decoded(authority.substr(0, colon)), to_ascii);
  if (!host) {
    return Unexpected<std::string>{std::move(host.error())};
  }
  destination.port = *port;
  destination.host = std::move(*host);
  destination.path = normal_path(rest.substr(0, rest.find('#')));
  destination.uri = "https://" + destination.host +
                    (*port == kHttpsPort ? "" : ":" + std::to_string(*port)) + destination.path;
  return destination;
}

Expected<Destination, std::string> parse_by_scheme(std::string_view uri, const ToAscii& to_ascii) {
  const auto colon = uri.find(':');
  if (colon == std::string_view::npos || colon == 0 || !is_alpha(uri.front()) ||
      !std::all_of(uri.begin(), uri.begin() + static_cast<std::ptrdiff_t>(colon),
                   [](char c) { return is_alnum(c) || c == '+' || c == '-' || c == '.'; })) {
    return because("no-scheme");
  }
  const std::string scheme = lower(uri.substr(0, colon));
  uri.remove_prefix(colon + 1);
  if (scheme == "mailto") {
    return parse_mailto(uri, to_ascii);
  }
  if (scheme == "https") {
    return parse_https(uri, to_ascii);
  }
  return because(scheme == "http" ? "plain-http" : "unsupported-scheme");
}

}  // namespace

std::string uri_with_credentials(const Destination& destination) {
  if (destination.userinfo.empty()) {
    return destination.uri;
  }
  std::string uri = destination.uri;
  return uri.insert(std::string_view{"https://"}.size(),
                    percent_encoded(destination.userinfo, ":") + '@');
}

Expected<Destination, std::string> parse_destination(std::string_view uri,
                                                     const ToAscii& to_ascii) {
  if (uri.empty()) {
    return because("empty");
  }
  if (uri.size() > kMaxUri) {
    return because("too-long");
  }
  if (!std::all_of(uri.begin(), uri.end(), is_uri_char)) {
    return because("bad-character");
  }
  if (!has_good_escapes(uri)) {
    return because("bad-escape");
  }
  auto destination = parse_by_scheme(uri, to_ascii);
  if (destination && uri_with_credentials(*destination).size() > kMaxUri) {
    return because("too-long");
  }
  return destination;
}

}  // namespace rpt
