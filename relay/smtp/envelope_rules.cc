#include "relay/smtp/envelope_rules.h"

#include <algorithm>

#include "relay/smtp/ascii.h"

namespace relay::smtp {
namespace {

/// address: in lower case.
bool matches(std::string_view pattern, std::string_view address) {
  if (address.empty()) {
    return pattern == "<>";
  }
  const auto domain = address.substr(address.rfind('@') + 1);
  if (pattern.starts_with("*.")) {
    return domain.size() > pattern.size() - 1 && domain.ends_with(pattern.substr(1));
  }
  return pattern == (pattern.find('@') == std::string_view::npos ? domain : address);
}

bool any_matches(const std::vector<std::string>& patterns, std::string_view address) {
  return std::any_of(patterns.begin(), patterns.end(),
                     [address](const std::string& pattern) { return matches(pattern, address); });
}

}  // namespace

bool permits(const std::vector<AddressFilter>& filters, std::string_view address) {
  const auto lowered = lower(address);
  return std::all_of(filters.begin(), filters.end(), [&lowered](const AddressFilter& filter) {
    return !any_matches(filter.deny, lowered) &&
           (filter.allow.empty() || any_matches(filter.allow, lowered));
  });
}

std::string rewritten(const std::vector<SenderRewrite>& rewrites, std::string_view address) {
  const auto lowered = lower(address);
  const auto rewrite =
      std::find_if(rewrites.begin(), rewrites.end(), [&lowered](const SenderRewrite& each) {
        return !lowered.empty() && matches(each.match, lowered);
      });
  if (rewrite == rewrites.end()) {
    return std::string(address);
  }
  const bool keeps = rewrite->to.starts_with('@');
  return keeps ? std::string(address.substr(0, address.rfind('@'))) + rewrite->to : rewrite->to;
}

}  // namespace relay::smtp
