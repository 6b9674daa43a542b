// How many sockets and files this process may have open.
#pragma once

#include <cstdint>

namespace relay::net {

/// Raises the soft limit to the hard one: a soft limit of 1024, the usual one, is less than the
/// connections that the configuration allows. Answer: the limit then in force.
std::uint64_t raise_descriptor_limit();

}  // namespace relay::net
