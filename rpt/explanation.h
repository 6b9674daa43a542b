// The result types of RFC 8460 §4.3 in plain words, for the people who run the domain reported on.
// Pure.
#pragma once

#include <string_view>

#include "rpt/result.h"

namespace rpt {

struct Explanation {
  std::string_view meaning;  ///< what the sender saw: a sentence
  std::string_view remedy;   ///< what usually helps: a sentence or two
};

[[nodiscard]] Explanation explain(ResultType type);

}  // namespace rpt
