#include "relay/delivery/would_refuse.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

namespace relay::delivery {

void WouldRefuse::count(std::string_view domain) {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(domain);
  if (found != counts_.end()) {
    ++found->second;
  } else if (counts_.size() < domains_) {
    counts_.emplace(domain, 1);
  } else {
    ++counts_[""];
  }
}

std::vector<WouldRefuse::Count> WouldRefuse::top(std::size_t n) const {
  std::vector<Count> counts;
  {
    const std::lock_guard lock(mutex_);
    counts.reserve(counts_.size());
    for (const auto& [domain, count] : counts_) {
      counts.push_back({domain, count});
    }
  }
  return highest(std::move(counts), n);
}

std::vector<WouldRefuse::Count> highest(std::vector<WouldRefuse::Count> counts, std::size_t n) {
  std::map<std::string, std::uint64_t> sums;
  for (const auto& [domain, count] : counts) {
    sums[domain] += count;
  }
  counts.clear();
  for (auto& [domain, count] : sums) {
    counts.push_back({domain, count});
  }
  std::ranges::stable_sort(counts, std::ranges::greater{}, &WouldRefuse::Count::count);
  counts.resize(std::min(n, counts.size()));
  return counts;
}

}  // namespace relay::delivery
