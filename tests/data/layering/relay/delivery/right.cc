// A file that keeps the rules of tests/layering.cmake.
#include <fstream>

#include <nlohmann/json.hpp>

#include "relay/net/connection.h"
#include "sts/policy.h"
