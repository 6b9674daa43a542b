#include "relay/cli/ground.h"

#include <filesystem>
#include <unistd.h>

#include "relay/settings.h"

namespace relay::cli {
namespace {

std::string own_hostname() {
  std::string name(256, '\0');
  if (::gethostname(name.data(), name.size() - 1) != 0) {
    return "localhost.localdomain";
  }
  name.resize(name.find('\0'));
  return name.find('.') == std::string::npos ? name + ".localdomain" : name;
}

}  // namespace

Expected<Ground, std::vector<std::string>> ground(const CommonOptions& common,
                                                  const CLI::App& command) {
  std::error_code ignored;
  if (command.count("--config") == 0 && !std::filesystem::exists(common.config_file, ignored)) {
    Ground defaults;
    defaults.config.hostname = own_hostname();
    return defaults;
  }
  auto config = load_config(common.config_file);
  if (!config) {
    return Unexpected<std::vector<std::string>>(std::move(config.error()));
  }
  return Ground{std::move(*config), Ground::Source::file};
}

}  // namespace relay::cli
