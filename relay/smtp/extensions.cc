#include "relay/smtp/extensions.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <string_view>
#include <utility>

#include "relay/smtp/ascii.h"

namespace relay::smtp {
namespace {

// A number above zero; zero means "no limit" in RFC 1870 and is not allowed in RFC 9422.
std::optional<std::uint64_t> limit(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value == 0) {
    return std::nullopt;
  }
  return value;
}

void read_limits(std::string_view parameters, Extensions& extensions) {
  const std::array<std::pair<std::string_view, std::optional<std::uint64_t>*>, 2> known{
      {{"MAILMAX", &extensions.mail_max}, {"RCPTMAX", &extensions.rcpt_max}}};
  for (auto word = next_word(parameters); !word.empty(); word = next_word(parameters)) {
    const auto equals = std::min(word.find('='), word.size());
    const auto key = upper(word.substr(0, equals));
    for (const auto& [name, field] : known) {
      if (key == name && equals < word.size()) {
        *field = limit(word.substr(equals + 1));
      }
    }
  }
}

void read_mechanisms(std::string_view words, AuthMechanisms& auth) {
  const std::array<std::pair<std::string_view, bool*>, 4> known{
      {{"PLAIN", &auth.plain},
       {"LOGIN", &auth.login},
       {"XOAUTH2", &auth.xoauth2},
       {"OAUTHBEARER", &auth.oauthbearer}}};
  for (auto word = next_word(words); !word.empty(); word = next_word(words)) {
    const auto mechanism = upper(word);
    auth.words.append(auth.words.empty() ? "" : " ").append(printable(mechanism, 40));
    for (const auto& [name, flag] : known) {
      *flag = *flag || mechanism == name;
    }
  }
}

void read_keyword(std::string_view line, Extensions& extensions) {
  const std::array<std::pair<std::string_view, bool*>, 8> flags{
      {{"PIPELINING", &extensions.pipelining},
       {"8BITMIME", &extensions.eight_bit_mime},
       {"SMTPUTF8", &extensions.smtputf8},
       {"STARTTLS", &extensions.starttls},
       {"DSN", &extensions.dsn},
       {"REQUIRETLS", &extensions.requiretls},
       {"CHUNKING", &extensions.chunking},
       {"SIZE", &extensions.size}}};
  const auto keyword = upper(next_word(line));
  for (const auto& [name, flag] : flags) {
    if (keyword == name) {
      *flag = true;
    }
  }
  if (keyword == "SIZE") {
    extensions.size_limit = limit(next_word(line));
  } else if (keyword == "AUTH") {
    read_mechanisms(line, extensions.auth);
  } else if (keyword.starts_with("AUTH=")) {  // as before RFC 2554, and still beside AUTH
    read_mechanisms(keyword.substr(5), extensions.auth);
    read_mechanisms(line, extensions.auth);
  } else if (keyword == "LIMITS") {
    read_limits(line, extensions);
  }
}

}  // namespace

Extensions Extensions::parse(const Reply& ehlo_reply) {
  Extensions extensions;
  for (std::size_t i = 1; i < ehlo_reply.lines.size(); ++i) {
    read_keyword(ehlo_reply.lines[i], extensions);
  }
  return extensions;
}

}  // namespace relay::smtp
