#include "relay/message/dkim_tags.h"

#include <algorithm>

#include "relay/smtp/ascii.h"

namespace relay::message {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

bool is_name(std::string_view text) {
  return !text.empty() && smtp::is_alpha(text.front()) &&
         std::ranges::all_of(text, [](char c) { return smtp::is_alnum(c) || c == '_'; });
}

}  // namespace

std::optional<DkimTags> DkimTags::parse(std::string_view text) {
  DkimTags tags;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(';'));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    if (text.empty() && trimmed(part).empty()) {
      break;  // one more semicolon at the end is allowed
    }
    const std::size_t equals = part.find('=');
    const std::string_view name = trimmed(part.substr(0, equals));
    if (equals == std::string_view::npos || !is_name(name) || tags.find(name) != nullptr) {
      return std::nullopt;
    }
    const std::string_view place = part.substr(equals + 1);
    tags.tags_.push_back({name, trimmed(place), place});
  }
  return tags;
}

const DkimTag* DkimTags::find(std::string_view name) const {
  const auto found = std::ranges::find(tags_, name, &DkimTag::name);
  return found == tags_.end() ? nullptr : &*found;
}

std::string_view DkimTags::value(std::string_view name, std::string_view otherwise) const {
  const DkimTag* const tag = find(name);
  return tag == nullptr ? otherwise : tag->value;
}

std::vector<std::string> dkim_list(std::string_view value) {
  std::vector<std::string> words;
  while (true) {
    const std::size_t colon = value.find(':');
    words.emplace_back(trimmed(value.substr(0, colon)));
    if (colon == std::string_view::npos) {
      return words;
    }
    value.remove_prefix(colon + 1);
  }
}

}  // namespace relay::message
