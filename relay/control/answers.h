// What control actions answer with: refusals, data, and pages of long lists. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "relay/control/control_protocol.h"
#include "relay/control/views.h"
#include "relay/spool/store_fault.h"

namespace relay::control {

[[nodiscard]] Response refuse(std::string sentence);
[[nodiscard]] Response refuse(const spool::StoreFault& fault);
[[nodiscard]] Response answer(const Json& json);

[[nodiscard]] std::string lower(std::string_view text);
/// A domain as people write it, in the form that the spool holds.
[[nodiscard]] std::string canonical_domain(const std::string& text);

/// A list that grows up to a number of entries and octets.
class Page {
 public:
  explicit Page(std::size_t limit) : limit_(limit) {}
  void add(const Json& entry);
  [[nodiscard]] bool full() const;
  /// next: where the following page begins; null at the end.
  [[nodiscard]] Response respond(const char* name, const Json& next) const;

 private:
  std::size_t limit_;
  std::size_t octets_ = 0;
  Json entries_ = Json::array();
};

}  // namespace relay::control
