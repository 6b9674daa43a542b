// A file that breaks the rules of tests/layering.cmake.
#include <string>
