// Whose message it is, as DKIM and DMARC see it: the domain of the address in From. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace relay::message {

/// Of the only From field's only (or first) address, lower case; empty where there is none. fields:
/// with their folds.
[[nodiscard]] std::string author_domain(const std::vector<std::string_view>& fields);

/// Whether a DKIM-Signature of this domain is there already.
[[nodiscard]] bool signed_by(const std::vector<std::string_view>& fields, std::string_view domain);

}  // namespace relay::message
