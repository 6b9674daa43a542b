#include "relay/smtp/command.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "relay/smtp/ascii.h"

namespace relay::smtp {
namespace {

using Refused = Unexpected<Refusal>;

constexpr std::size_t kMaxEnvid = 100;  // RFC 3461 §4.4
constexpr std::size_t kMaxOrcpt = 500;  // RFC 3461 §4.2

Refused syntax(std::string text) {
  return Refused({501, "5.5.4", std::move(text)});
}

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return value;
}

bool is_upper_hex(char c) {
  return is_digit(c) || (c >= 'A' && c <= 'F');
}

// RFC 3461 §4: xtext.
bool is_xtext(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+') {
      if (i + 2 >= text.size() || !is_upper_hex(text[i + 1]) || !is_upper_hex(text[i + 2])) {
        return false;
      }
      i += 2;
    } else if (!is_graphic(text[i]) || text[i] == '=') {
      return false;
    }
  }
  return !text.empty();
}

// RFC 3461 §4.1: NEVER stands alone.
bool is_notify(std::string_view upper_case) {
  if (upper_case == "NEVER") {
    return true;
  }
  for (;;) {
    const auto comma = std::min(upper_case.find(','), upper_case.size());
    const auto word = upper_case.substr(0, comma);
    if (word != "SUCCESS" && word != "FAILURE" && word != "DELAY") {
      return false;
    }
    if (comma == upper_case.size()) {
      return true;
    }
    upper_case.remove_prefix(comma + 1);
  }
}

// RFC 3461 §4.2: addr-type ";" xtext; RFC 6533 §3 lets "utf-8" addresses be UTF-8.
bool is_orcpt(std::string_view text, bool& utf8) {
  const auto semicolon = text.find(';');
  if (text.size() > kMaxOrcpt || semicolon == 0 || semicolon == std::string_view::npos) {
    return false;
  }
  const auto type = text.substr(0, semicolon);
  const auto address = text.substr(semicolon + 1);
  const bool atom =
      std::all_of(type.begin(), type.end(), [](char c) { return is_alnum(c) || c == '-'; });
  utf8 =
      equal_ignoring_case(type, "utf-8") && !std::all_of(address.begin(), address.end(), is_ascii);
  if (utf8) {
    return atom && is_utf8(address) && std::none_of(address.begin(), address.end(), [](char c) {
             return is_control(c) || c == ' ';
           });
  }
  return atom && is_xtext(address);
}

struct Parameter {
  std::string key;  // upper case
  std::string_view value;
  bool has_value = false;
};

Parameter split_parameter(std::string_view word) {
  const auto equals = word.find('=');
  if (equals == std::string_view::npos) {
    return {upper(word), {}, false};
  }
  return {upper(word.substr(0, equals)), word.substr(equals + 1), true};
}

Refused bad_value(const Parameter& parameter) {
  return syntax(fmt::format("Bad value of parameter {}", printable(parameter.key, 40)));
}

Refused unknown(const Parameter& parameter) {
  return Refused({555, "5.5.4", fmt::format("Unknown parameter {}", printable(parameter.key, 40))});
}

bool set_size(const Parameter& parameter, MailCommand& mail) {
  const bool repeated = mail.size.has_value();
  mail.size = number(parameter.value);
  return mail.size && !repeated;
}

bool set_body(const Parameter& parameter, MailCommand& mail) {
  mail.eight_bit_mime = equal_ignoring_case(parameter.value, "8BITMIME");
  return mail.eight_bit_mime || equal_ignoring_case(parameter.value, "7BIT");
}

bool set_smtputf8(const Parameter& parameter, MailCommand& mail) {
  mail.smtputf8 = true;
  return !parameter.has_value;
}

bool set_requiretls(const Parameter& parameter, MailCommand& mail) {
  mail.requiretls = true;
  return !parameter.has_value;
}

bool set_ret(const Parameter& parameter, MailCommand& mail) {
  const bool repeated = !mail.ret.empty();
  mail.ret = upper(parameter.value);
  return (mail.ret == "FULL" || mail.ret == "HDRS") && !repeated;
}

bool set_envid(const Parameter& parameter, MailCommand& mail) {
  const bool repeated = !mail.envid.empty();
  mail.envid = std::string(parameter.value);
  return mail.envid.size() <= kMaxEnvid && is_xtext(mail.envid) && !repeated;
}

// RFC 4954 §5: we do not pass it on, because no next hop trusts us to say who submitted.
bool set_auth(const Parameter& parameter, MailCommand& /*mail*/) {
  return parameter.value == "<>" || is_xtext(parameter.value);
}

std::optional<Refusal> apply(const Parameter& parameter, MailCommand& mail) {
  using Setter = bool (*)(const Parameter&, MailCommand&);
  constexpr std::array<std::pair<std::string_view, Setter>, 7> kSetters{
      {{"SIZE", set_size},
       {"BODY", set_body},
       {"SMTPUTF8", set_smtputf8},
       {"REQUIRETLS", set_requiretls},
       {"RET", set_ret},
       {"ENVID", set_envid},
       {"AUTH", set_auth}}};
  for (const auto& [key, set] : kSetters) {
    if (parameter.key == key) {
      return set(parameter, mail) ? std::nullopt : std::optional(bad_value(parameter).value());
    }
  }
  return unknown(parameter).value();
}

std::optional<Refusal> apply(const Parameter& parameter, Utf8Allowed utf8, RcptCommand& rcpt) {
  bool fit = false;
  if (parameter.key == "NOTIFY") {
    const bool repeated = !rcpt.notify.empty();
    rcpt.notify = upper(parameter.value);
    fit = is_notify(rcpt.notify) && !repeated;
  } else if (parameter.key == "ORCPT") {
    const bool repeated = !rcpt.orcpt.empty();
    rcpt.orcpt = std::string(parameter.value);
    fit = is_orcpt(rcpt.orcpt, rcpt.orcpt_utf8) && !repeated &&
          (!rcpt.orcpt_utf8 || utf8 == Utf8Allowed::yes);
  } else {
    return unknown(parameter).value();
  }
  return fit ? std::nullopt : std::optional(bad_value(parameter).value());
}

// Removes "FROM:" or "TO:" in any case from the start of argument.
bool take_keyword(std::string_view& argument, std::string_view keyword) {
  if (!equal_ignoring_case(argument.substr(0, keyword.size()), keyword)) {
    return false;
  }
  argument.remove_prefix(keyword.size());
  return true;
}

// The parameters are what is left; they must be apart from the path.
bool parameters_apart(std::string_view rest) {
  return rest.empty() || rest.front() == ' ';
}

}  // namespace

Command parse_command(std::string_view line) {
  constexpr std::array<std::pair<std::string_view, Verb>, 15> kVerbs{{{"HELO", Verb::helo},
                                                                      {"EHLO", Verb::ehlo},
                                                                      {"MAIL", Verb::mail},
                                                                      {"RCPT", Verb::rcpt},
                                                                      {"DATA", Verb::data},
                                                                      {"BDAT", Verb::bdat},
                                                                      {"RSET", Verb::rset},
                                                                      {"NOOP", Verb::noop},
                                                                      {"VRFY", Verb::vrfy},
                                                                      {"EXPN", Verb::expn},
                                                                      {"HELP", Verb::help},
                                                                      {"ETRN", Verb::etrn},
                                                                      {"STARTTLS", Verb::starttls},
                                                                      {"AUTH", Verb::auth},
                                                                      {"QUIT", Verb::quit}}};
  while (line.ends_with(' ') || line.ends_with('\t')) {
    line.remove_suffix(1);
  }
  const auto blank = std::min(line.find(' '), line.size());
  const auto word = line.substr(0, blank);
  line.remove_prefix(std::min(blank + 1, line.size()));
  for (const auto& [name, verb] : kVerbs) {
    if (equal_ignoring_case(word, name)) {
      return {verb, line};
    }
  }
  return {Verb::unknown, line};
}

Expected<MailCommand, Refusal> parse_mail(std::string_view argument) {
  if (!take_keyword(argument, "FROM:")) {
    return syntax("Syntax: MAIL FROM:<address>");
  }
  auto path = take_path(argument);
  if (!path) {
    return Refused({501, "5.1.7", std::string(explanation(path.error()))});
  }
  if (!parameters_apart(argument)) {
    return syntax("Syntax: MAIL FROM:<address>");
  }
  MailCommand mail;
  mail.sender = *std::move(path);
  for (auto word = next_word(argument); !word.empty(); word = next_word(argument)) {
    if (auto refusal = apply(split_parameter(word), mail)) {
      return Refused(*std::move(refusal));
    }
  }
  return mail;
}

Expected<RcptCommand, Refusal> parse_rcpt(std::string_view argument, Utf8Allowed utf8) {
  if (!take_keyword(argument, "TO:")) {
    return syntax("Syntax: RCPT TO:<address>");
  }
  auto path = take_path(argument);
  if (!path) {
    return Refused({path.error() == AddressFault::syntax ? 501 : 550, "5.1.3",
                    std::string(explanation(path.error()))});
  }
  if (!*path || !parameters_apart(argument)) {
    return syntax("Syntax: RCPT TO:<address>");
  }
  RcptCommand rcpt;
  rcpt.recipient = **std::move(path);
  for (auto word = next_word(argument); !word.empty(); word = next_word(argument)) {
    if (auto refusal = apply(split_parameter(word), utf8, rcpt)) {
      return Refused(*std::move(refusal));
    }
  }
  return rcpt;
}

std::optional<BdatCommand> parse_bdat(std::string_view argument) {
  const auto size = number(next_word(argument));
  const auto end = next_word(argument);
  const bool last = equal_ignoring_case(end, "LAST");
  if (!size || (!end.empty() && !last) || !next_word(argument).empty()) {
    return std::nullopt;
  }
  return BdatCommand{*size, last};
}

}  // namespace relay::smtp
