// How much the queue holds, by sender too: what caps are held against. Counted by the spool thread
// after each commit, read from any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "relay/spool/message.h"

namespace relay::spool {

/// Whose message it is when senders are told apart: the user's who signed in, or else the sender
/// address's. Notices have none ("").
[[nodiscard]] std::string owner_of(std::string_view user, std::string_view sender);

class Occupancy {
 public:
  struct Totals {
    std::uint64_t messages = 0;
    std::uint64_t octets = 0;
    std::uint64_t of_owner = 0;  ///< messages
  };

  void add(const std::string& owner, std::uint64_t octets);
  void remove(const std::string& owner, std::uint64_t octets);
  [[nodiscard]] Totals totals(const std::string& owner) const;

 private:
  mutable std::mutex mutex_;
  std::uint64_t messages_ = 0;
  std::uint64_t octets_ = 0;
  std::unordered_map<std::string, std::uint64_t> owners_;
};

}  // namespace relay::spool
