#include <string_view>

#include <fmt/format.h>

#include "relay/daemon.h"

int main(int argc, char** argv) {
  if (argc == 4 && std::string_view(argv[1]) == "run" && std::string_view(argv[2]) == "--config") {
    return relay::run_daemon(argv[3]);
  }
  fmt::print(stderr, "usage: stsrelay run --config FILE\n");
  return 2;
}
