#include "relay/reception_counts.h"

#include <algorithm>
#include <string_view>

namespace relay {
namespace {

constexpr std::array<std::string_view, 8> kStageNames{"AUTH", "STARTTLS", "MAIL",    "RCPT",
                                                      "DATA", "BDAT",     "content", "other"};

}  // namespace

void ReceptionCounts::observe(const LogEntry& entry) {
  static_assert(kStageNames.size() == kStages);
  if (entry.event == "accepted") {
    ++accepted_;
  } else if (entry.event == "auth-failed") {
    ++auth_failures_;
  } else if (entry.event == "rejected") {
    const auto* const found = std::ranges::find(kStageNames, entry.field("stage"));
    const auto other = kStageNames.size() - 1;
    const auto stage = static_cast<std::size_t>(found - kStageNames.begin());
    ++rejected_.at(std::min(stage, other));
  }
}

std::map<std::string, std::uint64_t> ReceptionCounts::rejected() const {
  std::map<std::string, std::uint64_t> counts;
  for (std::size_t i = 0; i < kStages; ++i) {
    counts.emplace(kStageNames.at(i), rejected_.at(i));
  }
  return counts;
}

}  // namespace relay
