#include "relay/cli/report_mime.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "relay/cli/gmime.h"

namespace relay::cli {
namespace {

std::string text_of(const char* text) {
  return text == nullptr ? std::string{} : std::string(text);
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return text;
}

/// How sure it is that a part is a report: the surest parts of a message are taken.
enum class Likeness { none, begins_so, named_so, typed_so };

Likeness likeness(GMimeObject* part, const std::string& file_name, std::string_view octets) {
  if (is_type(part, "application", "tlsrpt+gzip") || is_type(part, "application", "tlsrpt+json")) {
    return Likeness::typed_so;
  }
  constexpr std::array<std::string_view, 4> kEndings{".json", ".json.gz", ".gz", ".zip"};
  if (std::ranges::any_of(kEndings,
                          [&](std::string_view ending) { return file_name.ends_with(ending); })) {
    return Likeness::named_so;
  }
  constexpr std::array<std::string_view, 2> kMagics{"\x1f\x8b", "PK\x03\x04"};
  if (std::ranges::any_of(kMagics,
                          [&](std::string_view magic) { return octets.starts_with(magic); })) {
    return Likeness::begins_so;
  }
  octets.remove_prefix(octets.starts_with("\xef\xbb\xbf") ? 3 : 0);
  octets.remove_prefix(std::min(octets.find_first_not_of(" \t\r\n"), octets.size()));
  return octets.starts_with('{') ? Likeness::begins_so : Likeness::none;
}

/// Looks through one message; forwarded ones are looked through by themselves.
class Search {
 public:
  Search(const MailLimits& limits, MailContent& content) : limits_(limits), content_(content) {}

  void message(GMimeMessage* message, std::size_t depth) {
    Candidates candidates;
    if (GMimeObject* const top = g_mime_message_get_mime_part(message)) {
      visit(top, depth, candidates);
    }
    for (MailedReport& found : candidates.reports) {
      found.metadata.domain = header(message, "TLS-Report-Domain");
      found.metadata.submitter = header(message, "TLS-Report-Submitter");
      found.place = depth == 0 ? MailedReport::Place::here : MailedReport::Place::forwarded;
      content_.reports.push_back(std::move(found));
    }
  }

 private:
  struct Candidates {
    Likeness likeness = Likeness::begins_so;
    std::vector<MailedReport> reports;
  };

  void visit(GMimeObject* object, std::size_t depth, Candidates& candidates) {
    if (depth >= limits_.depth || parts_ >= limits_.parts) {
      problem(depth >= limits_.depth ? "its parts are nested too deeply" : "it has too many parts");
      return;
    }
    ++parts_;
    if (is_a(object, g_mime_multipart_get_type())) {
      auto* const multipart = reinterpret_cast<GMimeMultipart*>(object);
      const int count = g_mime_multipart_get_count(multipart);
      for (int i = 0; i < count && parts_ <= limits_.parts; ++i) {
        visit(g_mime_multipart_get_part(multipart, i), depth + 1, candidates);
      }
    } else if (is_a(object, g_mime_message_part_get_type())) {
      if (GMimeMessage* const forwarded =
              g_mime_message_part_get_message(reinterpret_cast<GMimeMessagePart*>(object))) {
        message(forwarded, depth + 1);
      }
    } else if (is_a(object, g_mime_part_get_type())) {
      leaf(reinterpret_cast<GMimePart*>(object), candidates);
    }
  }

  void leaf(GMimePart* part, Candidates& candidates) {
    PartContent content = content_of(part, limits_.part_octets);
    if (content.state == PartContent::State::too_large) {
      problem("a part is larger than a report may be");
    }
    if (content.state != PartContent::State::present) {
      return;
    }
    const std::string file_name = text_of(g_mime_part_get_filename(part));
    const Likeness sure =
        likeness(reinterpret_cast<GMimeObject*>(part), lower(file_name), content.octets);
    if (sure < candidates.likeness) {
      return;
    }
    if (sure > candidates.likeness) {
      candidates = {sure, {}};
    }
    candidates.reports.push_back({std::move(content.octets), {{}, {}, file_name}, {}});
  }

  void problem(const char* text) {
    if (std::ranges::find(content_.problems, text) == content_.problems.end()) {
      content_.problems.emplace_back(text);
    }
  }

  const MailLimits& limits_;
  MailContent& content_;
  std::size_t parts_ = 0;
};

/// The next message's; nullopt: there is none.
std::optional<MailContent> next(GMimeParser* parser, const MailLimits& limits) {
  const GObjectOwner<GMimeMessage> message(g_mime_parser_construct_message(parser, nullptr));
  if (!message) {
    return std::nullopt;
  }
  MailContent content;
  Search(limits, content).message(message.get(), 0);
  return content;
}

/// Where the parser is in octets.
std::size_t place_of(GMimeParser* parser, std::string_view octets) {
  const gint64 place = g_mime_parser_tell(parser);
  return place < 0 ? octets.size() : std::min(static_cast<std::size_t>(place), octets.size());
}

/// Cuts the line off that divides the messages of an mbox.
std::string_view without_marker(std::string_view message) {
  if (message.starts_with("From ")) {
    message.remove_prefix(std::min(message.find('\n'), message.size() - 1) + 1);
  }
  return message;
}

}  // namespace

MailContent reports_in_mail(std::string_view message, const MailLimits& limits) {
  const auto parser = parser_of(message, GMIME_FORMAT_MESSAGE);
  MailContent content = next(parser.get(), limits).value_or(MailContent{});
  content.message = message;
  return content;
}

void read_mbox(std::string_view octets, const std::function<void(MailContent)>& each,
               const MailLimits& limits) {
  const auto parser = parser_of(octets, GMIME_FORMAT_MBOX);
  while (g_mime_parser_eos(parser.get()) == 0) {
    const std::size_t begin = place_of(parser.get(), octets);
    auto content = next(parser.get(), limits);
    if (!content) {
      return;
    }
    content->message = without_marker(octets.substr(begin, place_of(parser.get(), octets) - begin));
    each(std::move(*content));
  }
}

}  // namespace relay::cli
