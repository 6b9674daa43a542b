// Sessions since the start by the policy that judged them, and why some failed, in the words of
// TLS-RPT (RFC 8460 §4.3). What is reported per day is counted by the spool.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>

#include "rpt/result.h"

namespace relay::delivery {

struct TlsTotals {
  static constexpr std::size_t kPolicyTypes =
      static_cast<std::size_t>(rpt::PolicyType::no_policy_found) + 1;
  static constexpr std::size_t kResultTypes =
      static_cast<std::size_t>(rpt::ResultType::sts_webpki_invalid) + 1;

  std::array<std::uint64_t, kPolicyTypes> succeeded{}, failed{};  ///< by rpt::PolicyType
  std::array<std::uint64_t, kResultTypes> failures{};             ///< by rpt::ResultType
};

/// Thread-safe.
class TlsCounts {
 public:
  void count(const rpt::SessionResult& session);
  void add_to(TlsTotals& sums) const;

 private:
  mutable std::mutex mutex_;
  TlsTotals totals_;
};

}  // namespace relay::delivery
