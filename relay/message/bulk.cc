#include "relay/message/bulk.h"

#include <algorithm>

#include "relay/smtp/ascii.h"

namespace relay::message {

bool is_bulk(std::string_view content) {
  while (!content.empty() && !content.starts_with("\r\n")) {
    const auto end = std::min(content.find("\r\n"), content.size());
    auto line = content.substr(0, end);
    content.remove_prefix(std::min(end + 2, content.size()));
    const auto colon = std::min(line.find(':'), line.size());
    const auto name = line.substr(0, colon);
    if (smtp::equal_ignoring_case(name, "List-Id")) {
      return true;
    }
    if (smtp::equal_ignoring_case(name, "Precedence")) {
      line.remove_prefix(std::min(colon + 1, line.size()));
      const auto value = smtp::next_word(line);
      return smtp::equal_ignoring_case(value, "bulk") || smtp::equal_ignoring_case(value, "list") ||
             smtp::equal_ignoring_case(value, "junk");
    }
  }
  return false;
}

}  // namespace relay::message
