#include "relay/cli/bounced_report.h"

#include <algorithm>
#include <map>
#include <utility>

#include "relay/cli/gmime.h"
#include "relay/net/ascii.h"

namespace relay::cli {
namespace {

constexpr std::size_t kMostParts = 100;
constexpr int kMostLevels = 10;
constexpr std::size_t kMostOctets = std::size_t{1} << 20U;
constexpr std::size_t kMostReason = 512;  // it is kept and shown, and others wrote it
constexpr std::string_view kBlanks = " \t\r\n";

/// Lower-case names; the last of several with one name counts.
using Fields = std::map<std::string, std::string>;

std::string trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(kBlanks);
  return begin == std::string_view::npos
             ? std::string()
             : std::string(text.substr(begin, text.find_last_not_of(kBlanks) + 1 - begin));
}

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(), net::to_lower);
  return text;
}

/// The next group of fields, unfolded, up to a blank line (RFC 3464 §2.1); text loses it.
Fields next_group(std::string_view& text) {
  Fields fields;
  std::string* value = nullptr;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    const std::string content = trimmed(line);
    if (content.empty()) {
      if (fields.empty()) {
        continue;
      }
      break;
    }
    const auto colon = content.find(':');
    if ((line.front() == ' ' || line.front() == '\t') && value != nullptr) {
      *value += ' ' + content;
    } else if (colon != std::string::npos) {
      value = &fields[lower_case(trimmed(content.substr(0, colon)))];
      *value = trimmed(content.substr(colon + 1));
    }
  }
  return fields;
}

/// "rfc822; tls@example.com": what follows the type.
std::string after_type(const std::string& value) {
  const auto semicolon = value.find(';');
  return semicolon == std::string::npos ? value : trimmed(value.substr(semicolon + 1));
}

/// What the parts of a notice say, as far as it matters here.
class Notice {
 public:
  void read(GMimeObject* object, int level) {
    if (object == nullptr || level > kMostLevels || ++parts_ > kMostParts) {
      return;
    }
    if (is_a(object, g_mime_multipart_get_type())) {
      auto* const multipart = reinterpret_cast<GMimeMultipart*>(object);
      const int count = g_mime_multipart_get_count(multipart);
      for (int i = 0; i < count && parts_ <= kMostParts; ++i) {
        read(g_mime_multipart_get_part(multipart, i), level + 1);
      }
    } else if (is_a(object, g_mime_message_part_get_type())) {
      GMimeMessage* const returned =
          g_mime_message_part_get_message(reinterpret_cast<GMimeMessagePart*>(object));
      if (returned != nullptr) {
        take_returned(header(returned, "TLS-Report-Domain"), header(returned, "Message-ID"));
      }
    } else if (is_a(object, g_mime_part_get_type())) {
      read_leaf(object);
    }
  }

  [[nodiscard]] std::optional<BouncedReport> result() && {
    if (!failed_ || bounced_.domain.empty() || bounced_.message_id.empty()) {
      return std::nullopt;
    }
    return std::move(bounced_);
  }

 private:
  void read_leaf(GMimeObject* object) {
    const bool status = is_type(object, "message", "delivery-status") ||
                        is_type(object, "message", "global-delivery-status");
    const bool headers =
        is_type(object, "text", "rfc822-headers") || is_type(object, "message", "global-headers");
    if (!status && !headers) {
      return;
    }
    const PartContent content = content_of(reinterpret_cast<GMimePart*>(object), kMostOctets);
    std::string_view text = content.octets;
    if (headers) {
      const Fields fields = next_group(text);
      take_returned(value_of(fields, "tls-report-domain"), value_of(fields, "message-id"));
      return;
    }
    while (!text.empty() && !failed_) {
      take_recipient(next_group(text));
    }
  }

  static std::string value_of(const Fields& fields, const std::string& name) {
    const auto found = fields.find(name);
    return found == fields.end() ? std::string() : found->second;
  }

  void take_returned(const std::string& domain, const std::string& message_id) {
    const auto begin = message_id.find('<');
    const auto end = message_id.find('>');
    if (bounced_.domain.empty() && begin != std::string::npos && end != std::string::npos &&
        begin < end) {
      bounced_.domain = domain;
      bounced_.message_id = message_id.substr(begin + 1, end - begin - 1);
    }
  }

  /// A report's mail has one recipient.
  void take_recipient(const Fields& fields) {
    if (lower_case(value_of(fields, "action")) != "failed") {
      return;
    }
    failed_ = true;
    const std::string original = after_type(value_of(fields, "original-recipient"));
    bounced_.recipient =
        original.empty() ? after_type(value_of(fields, "final-recipient")) : original;
    const std::string diagnostic = after_type(value_of(fields, "diagnostic-code"));
    bounced_.reason = value_of(fields, "status");
    if (!diagnostic.empty()) {
      bounced_.reason += (bounced_.reason.empty() ? "" : " ") + diagnostic;
    }
    bounced_.reason.resize(std::min(bounced_.reason.size(), kMostReason));
  }

  BouncedReport bounced_;
  bool failed_ = false;
  std::size_t parts_ = 0;
};

std::optional<BouncedReport> read(GMimeMessage* message) {
  Notice notice;
  GMimeObject* const top = g_mime_message_get_mime_part(message);
  if (top != nullptr && is_type(top, "multipart", "report")) {
    notice.read(top, 0);
  }
  return std::move(notice).result();
}

std::vector<BouncedReport> read_all(std::string_view octets, GMimeFormat format) {
  std::vector<BouncedReport> found;
  const auto parser = parser_of(octets, format);
  while (g_mime_parser_eos(parser.get()) == 0) {
    const GObjectOwner<GMimeMessage> message(
        g_mime_parser_construct_message(parser.get(), nullptr));
    if (!message) {
      break;
    }
    if (auto bounced = read(message.get())) {
      found.push_back(std::move(*bounced));
    }
  }
  return found;
}

}  // namespace

std::optional<BouncedReport> bounced_report(std::string_view message) {
  auto found = read_all(message, GMIME_FORMAT_MESSAGE);
  return found.empty() ? std::nullopt : std::optional(std::move(found.front()));
}

std::vector<BouncedReport> bounced_reports(std::string_view mbox) {
  return read_all(mbox, GMIME_FORMAT_MBOX);
}

}  // namespace relay::cli
