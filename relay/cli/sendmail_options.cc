#include "relay/cli/sendmail_options.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "relay/message/address_list.h"
#include "relay/smtp/ascii.h"

namespace relay::cli {
namespace {

/// Letters that have a value, at once or in the next word; some are passed over with it.
constexpr std::string_view kWithValue = "ABCFLNORVXbefhopr";
constexpr std::string_view kWithoutValue = "GImnstUvci";

Unexpected<std::string> usage(std::string text) {
  return Unexpected<std::string>(std::move(text));
}

/// RFC 3461 §4.
std::string xtext(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (smtp::is_graphic(c) && c != '+' && c != '=') {
      result += c;
    } else {
      result += fmt::format("+{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
    }
  }
  return result;
}

bool is_notify(const std::string& upper) {
  if (upper == "NEVER") {
    return true;
  }
  constexpr std::array<std::string_view, 3> kEvents{"SUCCESS", "FAILURE", "DELAY"};
  std::string_view rest = upper;
  while (true) {
    const auto comma = rest.find(',');
    if (std::find(kEvents.begin(), kEvents.end(), rest.substr(0, comma)) == kEvents.end()) {
      return false;
    }
    if (comma == std::string_view::npos) {
      return true;
    }
    rest.remove_prefix(comma + 1);
  }
}

std::string refusal_of_mode(std::string_view mode) {
  if (mode == "p") {
    return "-bp: the queue is shown by `stsrelay queue list`";
  }
  if (mode == "d" || mode == "D") {
    return "-bd: the daemon is started by the service manager, or with `stsrelay run`";
  }
  if (mode == "i") {
    return "-bi: there are no aliases here, so there is nothing to rebuild";
  }
  return fmt::format("-b{}: only -bm (a message on standard input) and -bs (SMTP) are known here",
                     mode);
}

class Parser {
 public:
  explicit Parser(const std::vector<std::string_view>& arguments) : arguments_(arguments) {}

  Expected<SendmailOptions, std::string> parse() {
    bool only_recipients = false;
    while (next_ < arguments_.size() && error_.empty()) {
      const auto argument = arguments_[next_++];
      if (only_recipients || argument.size() < 2 || argument.front() != '-') {
        options_.recipients.emplace_back(argument);
      } else if (argument == "--") {
        only_recipients = true;
      } else if (argument.starts_with("--")) {
        long_option(argument);
      } else {
        letters(argument.substr(1));
      }
    }
    if (!error_.empty()) {
      return usage(error_);
    }
    return std::move(options_);
  }

 private:
  void long_option(std::string_view argument) {
    const auto equals = argument.find('=');
    const auto name = argument.substr(0, equals);
    if (name != "--config" && name != "--socket") {
      error_ = fmt::format("{} is not known; see `stsrelay sendmail --help`", argument);
      return;
    }
    const auto value =
        equals == std::string_view::npos ? next_word(name) : argument.substr(equals + 1);
    (name == "--config" ? options_.config_file : options_.socket) = value;
  }

  std::string_view next_word(std::string_view option) {
    if (next_ < arguments_.size()) {
      return arguments_[next_++];
    }
    error_ = fmt::format("{} needs a value after it", option);
    return {};
  }

  void letters(std::string_view group) {
    while (!group.empty() && error_.empty()) {
      const char letter = group.front();
      group.remove_prefix(1);
      if (letter == 'q' || letter == 'd') {
        attached(letter, group);
        return;
      }
      if (kWithValue.find(letter) != std::string_view::npos) {
        const auto value = group.empty() ? next_word(std::string("-") + letter) : group;
        if (error_.empty()) {
          valued(letter, value);
        }
        return;
      }
      plain(letter);
    }
  }

  // -q and -d take a value only at once.
  void attached(char letter, std::string_view /*value*/) {
    if (letter == 'q') {
      error_ = "-q: the daemon tries the queue by itself; `stsrelay queue retry --all` hurries it";
    }
  }

  void plain(char letter) {
    if (letter == 't') {
      options_.recipients_from = SendmailOptions::Recipients::also_of_header;
    } else if (letter == 'i') {
      options_.dot = SendmailOptions::Dot::is_text;
    } else if (letter == 'I') {
      error_ = refusal_of_mode("i");
    } else if (kWithoutValue.find(letter) == std::string_view::npos) {
      error_ = fmt::format("-{} is not known; see `stsrelay sendmail --help`", letter);
    }
  }

  void valued(char letter, std::string_view value) {
    switch (letter) {
      case 'b':
        mode(value);
        return;
      case 'f':
      case 'r':
        sender(value);
        return;
      case 'F':
        options_.full_name = value;
        return;
      case 'B':
        body(smtp::upper(value));
        return;
      case 'N':
      case 'R':
      case 'V':
        notification(letter, value);
        return;
      case 'o':
        if (value == "i") {
          options_.dot = SendmailOptions::Dot::is_text;
        }
        return;
      default:
        return;  // has no meaning here
    }
  }

  void mode(std::string_view value) {
    if (value == "s") {
      options_.mode = SendmailOptions::Mode::dialogue;
    } else if (value != "m") {
      error_ = refusal_of_mode(value);
    }
  }

  void sender(std::string_view value) {
    const auto listed = message::parse_address_list(value == "<>" ? "" : value);
    if (!listed || listed->size() > 1) {
      error_ = fmt::format("-f: \"{}\" is not one address", smtp::printable(value, 200));
      return;
    }
    options_.sender = listed->empty() ? std::string() : listed->front().text;
  }

  void body(const std::string& value) {
    if (value == "7BIT") {
      options_.body = SendmailOptions::Body::seven_bit;
    } else if (value == "8BITMIME") {
      options_.body = SendmailOptions::Body::eight_bit;
    } else {
      error_ = "-B: write 7BIT or 8BITMIME";
    }
  }

  void notification(char letter, std::string_view value) {
    const auto upper = smtp::upper(value);
    if (letter == 'V') {
      options_.envid = xtext(value);
      error_ = options_.envid.size() > 100 ? "-V: at most 100 characters" : "";
    } else if (letter == 'N') {
      options_.notify = upper;
      error_ = is_notify(upper) ? "" : "-N: write never, or some of success,failure,delay";
    } else {
      options_.ret = upper == "HDRS" || upper == "FULL" ? upper : "";
      error_ = options_.ret.empty() ? "-R: write full or hdrs" : "";
    }
  }

  const std::vector<std::string_view>& arguments_;
  std::size_t next_ = 0;
  SendmailOptions options_;
  std::string error_;
};

}  // namespace

Expected<SendmailOptions, std::string> parse_sendmail(
    const std::vector<std::string_view>& arguments) {
  return Parser(arguments).parse();
}

}  // namespace relay::cli
