// Chance for waits that nobody shall foretell.
#pragma once

#include <functional>

namespace relay::delivery {

/// What was given, or uniform numbers in [0, 1) from a seed of their own: who sees the waits of one
/// user of it learns nothing of another's.
[[nodiscard]] std::function<double()> given_or_chance(const std::function<double()>& given);

}  // namespace relay::delivery
