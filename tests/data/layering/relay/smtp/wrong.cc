// A file that breaks the rules of tests/layering.cmake.
#include <string>

#include <nlohmann/json.hpp>

#include "relay/net/connection.h"
#include "relay/net/domain_name.h"
