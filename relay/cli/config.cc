#include "conf/config.h"

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/config_json.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"
#include "relay/delivery_files.h"
#include "relay/listener_files.h"
#include "relay/settings.h"

namespace relay::cli {
namespace {

int report_errors(const CommonOptions& options, const std::vector<std::string>& errors) {
  if (options.json) {
    print_json(Json{{"ok", false}, {"errors", errors}});
  } else {
    for (const std::string& error : errors) {
      fmt::print(stderr, "{}\n", printable(error));
    }
  }
  return kFailed;
}

int check(const CommonOptions& options) {
  const auto config = load_config(options.config_file);
  if (!config) {
    return report_errors(options, config.error());
  }
  if (const auto preload = load_preload(*config); !preload) {
    return report_errors(options, preload.error());
  }
  if (const auto files = load_listener_files(*config, options.config_file); !files) {
    return report_errors(options, files.error());
  }
  if (const auto delivery = load_delivery_files(*config, options.config_file); !delivery) {
    return report_errors(options, delivery.error());
  }
  const std::vector<std::string> warnings = config_warnings(options.config_file, now());
  if (options.json) {
    print_json(Json{{"ok", true}, {"errors", Json::array()}, {"warnings", warnings}});
    return kDone;
  }
  for (const std::string& warning : warnings) {
    fmt::print(stderr, "{}\n", printable(warning));
  }
  print(fmt::format("{}: no errors\n", options.config_file));
  return kDone;
}

int show(const CommonOptions& options) {
  const auto config = load_config(options.config_file);
  if (!config) {
    return report_errors(options, config.error());
  }
  if (options.json) {
    print_json(to_json(*config));
  } else {
    print(conf::to_yaml(*config));
  }
  return kDone;
}

int reload(const CommonOptions& options) {
  const auto data = Daemon(options).ask(control::Reload{});
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
  }
  print("The new configuration is in force.\n");
  for (const Json& key : data->at("needs_restart")) {
    print(fmt::format("  {}: changed, takes effect after a restart\n", key.get<std::string>()));
  }
  return kDone;
}

}  // namespace

void add_config(CLI::App& app, Invocation& invocation) {
  CLI::App* const group = add_group(app, "config", "Check, show or reload the configuration");
  const CommonOptions& options = invocation.common;
  add_printing_command(*group, invocation, "check",
                       "Say whether the file is right; if not: FILE:LINE: key: reason",
                       [&options] { return check(options); });
  add_printing_command(*group, invocation, "show",
                       "Print every setting with the value it has, defaults included",
                       [&options] { return show(options); });
  add_asking_command(*group, invocation, "reload",
                     "Let the daemon read its file again; it keeps the old configuration if the "
                     "new one has errors",
                     [&options] { return reload(options); });
}

}  // namespace relay::cli
