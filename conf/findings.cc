#include "conf/findings.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace conf {

std::string ConfigError::text() const {
  return fmt::format("{}{}{}{}", line == 0 ? "" : fmt::format("line {}: ", line), key,
                     key.empty() ? "" : ": ", reason);
}

void Findings::fail(std::size_t line, std::string key, std::string reason) {
  errors_.push_back({line, std::move(key), std::move(reason)});
}

void Findings::note_line(std::string key, std::size_t line) {
  lines_.emplace(std::move(key), line);
}

std::size_t Findings::line_of(std::string key) const {
  while (!key.empty()) {
    if (const auto found = lines_.find(key); found != lines_.end()) {
      return found->second;
    }
    const std::size_t parent = key.find_last_of(".[");
    key.resize(parent == std::string::npos ? 0 : parent);
  }
  return 0;
}

std::vector<ConfigError> Findings::take_errors() {
  std::ranges::stable_sort(errors_, {}, &ConfigError::line);
  return std::exchange(errors_, {});
}

}  // namespace conf
