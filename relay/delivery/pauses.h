// Destinations that rest by the operator's wish: mail for them is taken and waits. Immutable.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "relay/spool/message_change.h"

namespace relay::delivery {

class Pauses {
 public:
  Pauses() = default;
  explicit Pauses(std::vector<spool::Pause> pauses) : pauses_(std::move(pauses)) {}

  /// Why a recipient domain whose mail goes to this next hop (NextHop::key()) rests; null: it does
  /// not. A pause names a next hop with its port, or without: at any.
  [[nodiscard]] const spool::Pause* find(std::string_view domain, std::string_view next_hop) const;
  [[nodiscard]] const std::vector<spool::Pause>& all() const { return pauses_; }

 private:
  std::vector<spool::Pause> pauses_;
};

/// A next hop as people name it, "smtp.example.com:587": NextHop::key() without the kind.
[[nodiscard]] std::string_view place_of(std::string_view key);

/// "everything", "the domain example.com", "the next hop smtp.example.com:587".
[[nodiscard]] std::string subject_of(const spool::Pause& pause);

}  // namespace relay::delivery
