#include "relay/cli/sendmail_message.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "relay/message/address_list.h"
#include "relay/smtp/ascii.h"

namespace relay::cli {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::size_t kTidyUp = std::size_t{64} * 1024;

bool is_blank(char c) {
  return c == ' ' || c == '\t';
}

std::string_view name_of(std::string_view field) {
  auto name = field.substr(0, std::min(field.find(':'), field.size()));
  while (!name.empty() && is_blank(name.back())) {
    name.remove_suffix(1);
  }
  return name;
}

std::string_view value_of(std::string_view field) {
  return field.substr(std::min(field.find(':'), field.size() - 1) + 1);
}

bool is_field(std::string_view line) {
  const auto name = name_of(line);
  return line.find(':') != std::string_view::npos && !name.empty() &&
         std::all_of(name.begin(), name.end(), smtp::is_graphic);
}

bool is_named(std::string_view field, std::string_view name) {
  return smtp::equal_ignoring_case(name_of(field), name);
}

std::string qualified(const std::string& address, const std::string& hostname) {
  return address.find('@') == std::string::npos ? address + "@" + hostname : address;
}

/// Appends the addresses of a list; false: it is none.
bool add_recipients(std::string_view list, const std::string& hostname,
                    std::vector<std::string>& recipients) {
  const auto listed = message::parse_address_list(list);
  if (!listed) {
    return false;
  }
  for (const auto& each : *listed) {
    auto address = qualified(each.text, hostname);
    if (std::find(recipients.begin(), recipients.end(), address) == recipients.end()) {
      recipients.push_back(std::move(address));
    }
  }
  return true;
}

// RFC 5322 §3.6.6: a message that is sent again goes to the recipients of that only.
std::vector<std::string_view> recipient_fields(const std::vector<std::string>& fields) {
  const bool resent = std::any_of(fields.begin(), fields.end(), [](std::string_view field) {
    return smtp::equal_ignoring_case(name_of(field).substr(0, 7), "Resent-");
  });
  return resent ? std::vector<std::string_view>{"Resent-To", "Resent-Cc", "Resent-Bcc"}
                : std::vector<std::string_view>{"To", "Cc", "Bcc"};
}

Expected<std::vector<std::string>, std::string> all_recipients(
    const std::vector<std::string>& fields, const SendmailOptions& options,
    const std::string& hostname) {
  std::vector<std::string> recipients;
  for (const std::string& given : options.recipients) {
    if (!add_recipients(given, hostname, recipients)) {
      return Unexpected<std::string>(
          fmt::format("\"{}\" is no address", smtp::printable(given, 200)));
    }
  }
  if (options.recipients_from == SendmailOptions::Recipients::also_of_header) {
    const auto names = recipient_fields(fields);
    for (const std::string& field : fields) {
      const bool counts = std::any_of(names.begin(), names.end(), [&field](std::string_view name) {
        return is_named(field, name);
      });
      if (counts && !add_recipients(value_of(field), hostname, recipients)) {
        return Unexpected<std::string>(
            fmt::format("the addresses in this header field cannot be read: \"{}\"",
                        smtp::printable(field, 200)));
      }
    }
  }
  if (recipients.empty()) {
    return Unexpected<std::string>(
        options.recipients_from == SendmailOptions::Recipients::also_of_header
            ? "there are no recipients: none were given, and To, Cc and Bcc name nobody"
            : "there are no recipients; name some after the options, or use -t to take those of "
              "the header");
  }
  return recipients;
}

/// A display name (RFC 5322 §3.4), quoted where it has to be.
std::string phrase(std::string_view name) {
  const bool plain = std::all_of(name.begin(), name.end(), [](char c) {
    return smtp::is_alnum(c) || c == ' ' || c == '-' || c == '_';
  });
  if (plain) {
    return std::string(name);
  }
  std::string quoted = "\"";
  for (const char c : name) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
    }
    quoted += smtp::is_control(c) ? ' ' : c;
  }
  return quoted + "\"";
}

std::string new_from(const std::string& address, const std::string& name) {
  return name.empty() ? fmt::format("From: {}\r\n", address)
                      : fmt::format("From: {} <{}>\r\n", phrase(name), address);
}

/// A From whose addresses all have a domain; as it was if it cannot be read.
std::string qualified_from(std::string field, const std::string& hostname) {
  const auto value = field.size() - value_of(field).size();
  const auto listed = message::parse_address_list(value_of(field));
  if (!listed) {
    return field;
  }
  const std::string suffix = "@" + hostname;
  std::size_t inserted = 0;
  for (const auto& each : *listed) {
    if (each.text.find('@') == std::string::npos) {
      field.insert(value + each.end + inserted, suffix);
      inserted += suffix.size();
    }
  }
  return field;
}

}  // namespace

std::optional<std::string> TextLines::next(Input input) {
  const auto newline = text_.find('\n', taken_);
  if (newline == std::string::npos && (input == Input::goes_on || taken_ == text_.size())) {
    return std::nullopt;
  }
  auto end = std::min(newline, text_.size());
  const auto after = std::min(end + 1, text_.size());
  end -= end > taken_ && text_[end - 1] == '\r' ? 1U : 0U;
  auto line = text_.substr(taken_, end - taken_);
  taken_ = after;
  if (taken_ > kTidyUp) {
    text_.erase(0, taken_);
    taken_ = 0;
  }
  return line;
}

HeaderLines::Next HeaderLines::take(std::string line) {
  const bool first = std::exchange(first_, false);
  if (first && (line.starts_with("From ") || line.starts_with(">From "))) {
    return Next::more;  // of a mailbox file
  }
  // A stray CR must not become a line end, and so another field, on the way.
  std::replace(line.begin(), line.end(), '\r', ' ');
  const bool continues = !fields_.empty() && !line.empty() && is_blank(line.front());
  if (!continues && !is_field(line)) {
    return Next::body;
  }
  size_ += line.size();
  if (continues) {
    fields_.back().append(kLineEnd).append(line);
  } else {
    fields_.push_back(std::move(line));
  }
  return Next::more;
}

Expected<Submission, std::string> prepare_submission(const std::vector<std::string>& fields,
                                                     const SendmailOptions& options,
                                                     const Submitter& submitter) {
  auto recipients = all_recipients(fields, options, submitter.hostname);
  if (!recipients) {
    return Unexpected<std::string>(std::move(recipients.error()));
  }
  Submission submission;
  submission.recipients = std::move(*recipients);
  const auto own = qualified(submitter.login, submitter.hostname);
  const auto& sender = options.sender;
  submission.sender = !sender           ? own
                      : sender->empty() ? std::string()
                                        : qualified(*sender, submitter.hostname);
  const bool drop_bcc = options.recipients_from == SendmailOptions::Recipients::also_of_header;
  bool has_from = false;
  for (const std::string& field : fields) {
    if (drop_bcc && (is_named(field, "Bcc") || is_named(field, "Resent-Bcc"))) {
      continue;
    }
    const bool from = is_named(field, "From");
    has_from = has_from || from;
    submission.header.append(from ? qualified_from(field, submitter.hostname) : field)
        .append(kLineEnd);
  }
  if (!has_from) {
    const auto& name = options.full_name.empty() ? submitter.full_name : options.full_name;
    submission.header.append(new_from(submission.sender.empty() ? own : submission.sender, name));
  }
  return submission;
}

}  // namespace relay::cli
