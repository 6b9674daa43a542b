#include "rpt/result.h"

#include <array>

namespace rpt {
namespace {

// In the order of the enumerators.
constexpr std::array<std::string_view, 11> kResultTypes = {
    "starttls-not-supported", "certificate-host-mismatch",
    "certificate-expired",    "certificate-not-trusted",
    "validation-failure",     "tlsa-invalid",
    "dnssec-invalid",         "dane-required",
    "sts-policy-fetch-error", "sts-policy-invalid",
    "sts-webpki-invalid"};
constexpr std::array<std::string_view, 3> kPolicyTypes = {"tlsa", "sts", "no-policy-found"};

template <class Enum, std::size_t N>
std::optional<Enum> find(const std::array<std::string_view, N>& names, std::string_view name) {
  for (std::size_t i = 0; i < N; ++i) {
    if (names.at(i) == name) {
      return static_cast<Enum>(i);
    }
  }
  return std::nullopt;
}

}  // namespace

std::string_view wire_name(ResultType type) {
  return kResultTypes.at(static_cast<std::size_t>(type));
}

std::optional<ResultType> parse_result_type(std::string_view wire_name) {
  return find<ResultType>(kResultTypes, wire_name);
}

std::string_view wire_name(PolicyType type) {
  return kPolicyTypes.at(static_cast<std::size_t>(type));
}

std::optional<PolicyType> parse_policy_type(std::string_view wire_name) {
  return find<PolicyType>(kPolicyTypes, wire_name);
}

}  // namespace rpt
