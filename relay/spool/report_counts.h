// How many deliveries of TLS reports came to an end, by how they went and what became of them.
// Threading: every method may be called from any thread.
#pragma once

#include <cstdint>
#include <mutex>

#include "relay/spool/report.h"

namespace relay::spool {

/// Since the start. What a later bounce revokes was accepted once and refused once.
struct ReportTotals {
  struct Ends {
    std::uint64_t accepted = 0, refused = 0, expired = 0;
  };
  Ends mail, https;
};

class ReportCounts {
 public:
  /// What was stored; deliveries that go on are left out.
  void count(const ReportWrite& write);
  void count(const ReportMailOutcome& outcome);
  [[nodiscard]] ReportTotals totals() const;

 private:
  mutable std::mutex mutex_;
  ReportTotals totals_;
};

}  // namespace relay::spool
