// The one place where rpt names its expected type; std::expected once C++23 is the floor.
#pragma once

#include <tl/expected.hpp>

namespace rpt {

template <class T, class E>
using Expected = tl::expected<T, E>;
template <class E>
using Unexpected = tl::unexpected<E>;

}  // namespace rpt
