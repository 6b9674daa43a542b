// A file that breaks the rules of tests/layering.cmake.
#include <fstream>

#include <event2/event.h>
#include <fmt/format.h>

#include "relay/net/clock.h"
