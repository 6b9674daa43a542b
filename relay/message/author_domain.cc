#include "relay/message/author_domain.h"

#include <algorithm>

#include "relay/message/dkim_canonical.h"
#include "relay/message/dkim_tags.h"
#include "relay/smtp/ascii.h"

namespace relay::message {
namespace {

std::string_view value_of(std::string_view field) {
  return field.substr(std::min(field.find(':') + 1, field.size()));
}

/// Without comments (RFC 5322 §3.2.2) and quoted strings.
std::string bare(std::string_view text) {
  std::string result;
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\\' && (quoted || depth > 0)) {
      ++i;
    } else if (depth == 0 && c == '"') {
      quoted = !quoted;
    } else if (!quoted && c == '(') {
      ++depth;
    } else if (!quoted && c == ')') {
      depth = std::max(0, depth - 1);
    } else if (!quoted && depth == 0) {
      result += c;
    }
  }
  return result;
}

}  // namespace

std::string author_domain(const std::vector<std::string_view>& fields) {
  const auto is_from = [](std::string_view field) {
    return smtp::equal_ignoring_case(field_name(field), "from");
  };
  const auto from = std::ranges::find_if(fields, is_from);
  if (from == fields.end() || std::ranges::count_if(fields, is_from) != 1) {
    return {};
  }
  const std::string text = bare(value_of(*from));
  // "Name <local@domain>, …" or "local@domain, …"; a quoted local part has gone.
  const std::size_t angle = text.find('<');
  const std::size_t at = text.find('@', angle == std::string::npos ? 0 : angle);
  if (at == std::string::npos) {
    return {};
  }
  std::string domain = text.substr(at + 1, text.find_first_of(">,;", at) - at - 1);
  std::erase_if(domain, [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; });
  return smtp::lower(domain);
}

bool signed_by(const std::vector<std::string_view>& fields, std::string_view domain) {
  return std::ranges::any_of(fields, [domain](std::string_view field) {
    if (!smtp::equal_ignoring_case(field_name(field), "dkim-signature")) {
      return false;
    }
    const auto tags = DkimTags::parse(value_of(field));
    return tags && smtp::equal_ignoring_case(tags->value("d"), domain);
  });
}

}  // namespace relay::message
