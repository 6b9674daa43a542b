#include "relay/spool/message.h"

#include <algorithm>
#include <limits>

namespace relay::spool {

namespace {

// No vowels, so that an id never spells a word; no lower case, so that it survives being read out.
constexpr std::string_view kDigits = "0123456789BCDFGHJKLMNPQRSTVWXYZ";
constexpr std::size_t kLongest = 13;

}  // namespace

std::optional<MessageId> MessageId::parse(std::string_view text) {
  if (text.empty() || text.size() > kLongest || (text.size() > 1 && text.front() == '0')) {
    return std::nullopt;
  }
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  std::uint64_t value = 0;
  for (const char c : text) {
    const auto digit = kDigits.find(c);
    if (digit == std::string_view::npos || value > (kMax - digit) / kDigits.size()) {
      return std::nullopt;
    }
    value = value * kDigits.size() + digit;
  }
  return MessageId(static_cast<std::int64_t>(value));
}

std::string MessageId::text() const {
  auto rest = static_cast<std::uint64_t>(value_);
  std::string digits;
  do {
    digits.push_back(kDigits[rest % kDigits.size()]);
    rest /= kDigits.size();
  } while (rest != 0);
  std::reverse(digits.begin(), digits.end());
  return digits;
}

std::string_view name(Priority priority) {
  switch (priority) {
    case Priority::high:
      return "high";
    case Priority::normal:
      break;
    case Priority::bulk:
      return "bulk";
  }
  return "normal";
}

}  // namespace relay::spool
