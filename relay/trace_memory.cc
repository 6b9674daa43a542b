#include "relay/trace_memory.h"

#include <utility>

namespace relay {
namespace {

/// One answer is at most so long; the latest lines are the ones that matter.
constexpr std::size_t kMostLines = 2000;

}  // namespace

void TraceMemory::observe(const LogEntry& entry) {
  const std::string_view id = entry.field("id");
  if (id.empty() || most_ == 0) {
    return;
  }
  const std::string_view domain = entry.event == "dialogue" ? entry.field("domain") : "";
  Line line{std::string(id), std::string(entry.field("about")), std::string(domain), entry.json()};
  const std::lock_guard lock(mutex_);
  size_ += line.size();
  lines_.push_back(std::move(line));
  while (size_ > most_ && !lines_.empty()) {
    size_ -= lines_.front().size();
    lines_.pop_front();
  }
}

template <class Wanted>
std::vector<std::string> TraceMemory::find(const Wanted& wanted) const {
  std::vector<std::string> found;
  const std::lock_guard lock(mutex_);
  for (const Line& line : lines_) {
    if (wanted(line)) {
      found.push_back(line.json);
    }
  }
  if (found.size() > kMostLines) {
    found.erase(found.begin(), found.end() - kMostLines);
  }
  return found;
}

std::vector<std::string> TraceMemory::about_message(std::string_view id) const {
  return find([id](const Line& line) { return line.id == id || line.about == id; });
}

std::vector<std::string> TraceMemory::about_domain(std::string_view domain) const {
  return find([domain](const Line& line) { return line.domain == domain; });
}

}  // namespace relay
