#include "conf/environment.h"

#include <algorithm>

#include <fmt/format.h>

#include "conf/utf8.h"

namespace conf {
namespace {

constexpr std::string_view kOpening = "${";

bool is_name(std::string_view text) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
  };
  return !text.empty() && is_letter(text.front()) &&
         std::ranges::all_of(text, [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

bool is_line_of_text(std::string_view text) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    if (length == 0 || (text.front() >= '\0' && text.front() < ' ')) {
      return false;
    }
    text.remove_prefix(length);
  }
  return true;
}

tl::expected<std::string, std::string> value_of(std::string_view name,
                                                const Environment& environment) {
  if (!is_name(name)) {
    return tl::unexpected(fmt::format(
        "\"{}\" in \"${{…}}\" is no name of a variable; write for example ${{MAIL_NAME}}", name));
  }
  auto value = environment(std::string(name));
  if (!value) {
    return tl::unexpected(
        fmt::format("names the environment's variable {}, which is not set; set it", name));
  }
  if (!is_line_of_text(*value)) {
    return tl::unexpected(
        fmt::format("names the environment's variable {}, whose value is no line of text", name));
  }
  return std::move(*value);
}

}  // namespace

tl::expected<std::string, std::string> filled_in(std::string_view text,
                                                 const Environment& environment) {
  std::string filled;
  for (std::size_t opening = 0; (opening = text.find(kOpening)) != std::string_view::npos;) {
    filled += text.substr(0, opening);
    text.remove_prefix(opening + kOpening.size());
    const std::size_t closing = text.find('}');
    if (closing == std::string_view::npos) {
      return tl::unexpected(std::string(R"(has "${" without the "}" that ends it)"));
    }
    const auto value = value_of(text.substr(0, closing), environment);
    if (!value) {
      return tl::unexpected(value.error());
    }
    filled += *value;
    text.remove_prefix(closing + 1);
  }
  return filled.append(text);
}

}  // namespace conf
