// How often report-only rules would have refused, by policy domain. Bounded: domains beyond the
// limit are counted together. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace relay::delivery {

class WouldRefuse {
 public:
  struct Count {
    std::string domain;  ///< "": all that are counted together
    std::uint64_t count = 0;
    friend bool operator==(const Count&, const Count&) = default;
  };

  explicit WouldRefuse(std::size_t domains = 1000) : domains_(domains) {}
  void count(std::string_view domain);
  /// The n highest counts, highest first, equal ones by name.
  [[nodiscard]] std::vector<Count> top(std::size_t n) const;

 private:
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const {
      return std::hash<std::string_view>{}(text);
    }
  };
  const std::size_t domains_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::uint64_t, Hash, std::equal_to<>> counts_;
};

/// The n highest of counts that several kept; those of one domain are added up.
[[nodiscard]] std::vector<WouldRefuse::Count> highest(std::vector<WouldRefuse::Count> counts,
                                                      std::size_t n);

}  // namespace relay::delivery
