#include "conf/staging.h"

#include <algorithm>
#include <utility>

namespace conf {
namespace {

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool decimal(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

bool matches(std::string_view pattern, std::string_view text) {
  std::size_t at = 0;
  std::size_t in = 0;
  // Where the last * stood, and how much of the text it has taken so far.
  std::size_t star = std::string_view::npos;
  std::size_t taken = 0;
  while (in < text.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      taken = in;
    } else if (at < pattern.size() && pattern[at] == lower(text[in])) {
      ++at;
      ++in;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      in = ++taken;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

bool matches_any(const std::vector<std::string>& patterns, std::string_view text) {
  return std::ranges::any_of(patterns,
                             [text](const std::string& each) { return matches(each, text); });
}

bool is_reply(std::string_view text) {
  constexpr std::size_t kLongest = 500;  // RFC 5321 §4.5.3.1.5, with some room
  return text.size() > 4 && text.size() <= kLongest &&
         (text[0] == '2' || text[0] == '4' || text[0] == '5') && text[1] >= '0' && text[1] <= '5' &&
         decimal(text[2]) && text[3] == ' ' &&
         std::ranges::all_of(text, [](char c) { return c >= ' ' && c < '\x7f'; });
}

const StagingFault* Staging::fault(StagingFault::At at, std::string_view address) const {
  const auto found = std::ranges::find_if(faults, [at, address](const StagingFault& each) {
    return each.at == at && matches(each.recipient, address);
  });
  return found == faults.end() ? nullptr : &*found;
}

std::string Staging::modes() const {
  std::string text;
  for (const auto& [on, name] :
       {std::pair{sink, "sink"}, std::pair{!capture.empty(), "capture"},
        std::pair{!redirect_to.empty(), "redirect"}, std::pair{dry_run, "dry-run"},
        std::pair{!faults.empty(), "faults"}, std::pair{soft_bounce, "soft-bounce"}}) {
    if (on) {
      text.append(text.empty() ? "" : ",").append(name);
    }
  }
  return text;
}

}  // namespace conf
