#include <cstdio>
#include <exception>
#include <optional>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "relay/cli/check_findings.h"
#include "relay/cli/commands.h"
#include "relay/control/version.h"

namespace relay::cli {

CLI::App* add_group(CLI::App& parent, const std::string& name, const std::string& description) {
  CLI::App* const group = parent.add_subcommand(name, description);
  group->require_subcommand(1);
  group->footer(kExitCodes);
  return group;
}

CLI::App* add_command(CLI::App& parent, Invocation& invocation, const std::string& name,
                      const std::string& description, std::function<int()> run) {
  CLI::App* const command = parent.add_subcommand(name, description);
  command->footer(kExitCodes);
  command->add_option("--config", invocation.common.config_file, "Configuration file")
      ->capture_default_str()
      ->type_name("FILE");
  command->callback([&invocation, run = std::move(run)] { invocation.run = run; });
  return command;
}

CLI::App* add_printing_command(CLI::App& parent, Invocation& invocation, const std::string& name,
                               const std::string& description, std::function<int()> run) {
  CLI::App* const command = add_command(parent, invocation, name, description, std::move(run));
  command->add_flag("--json", invocation.common.json, "Print JSON, for programs");
  return command;
}

CLI::App* add_asking_command(CLI::App& parent, Invocation& invocation, const std::string& name,
                             const std::string& description, std::function<int()> run) {
  CLI::App* const command =
      add_printing_command(parent, invocation, name, description, std::move(run));
  command
      ->add_option("--socket", invocation.common.socket,
                   "The daemon's control socket, if it is not the one of the configuration")
      ->type_name("PATH");
  return command;
}

namespace {

/// The arguments of sendmail, if that is what is called: by this name, or as a command.
std::optional<std::vector<std::string_view>> sendmail_arguments(int argc, char** argv) {
  const std::vector<std::string_view> words(argv, argv + argc);
  if (words.empty()) {
    return std::nullopt;
  }
  const auto name = words[0].substr(words[0].rfind('/') + 1);
  const bool command = words.size() > 1 && words[1] == "sendmail";
  const bool help = command && words.size() > 2 && (words[2] == "--help" || words[2] == "-h");
  if (name != "sendmail" && (!command || help)) {
    return std::nullopt;
  }
  return std::vector(words.begin() + (name == "sendmail" ? 1 : 2), words.end());
}

int run_command(int argc, char** argv) {
  if (const auto arguments = sendmail_arguments(argc, argv)) {
    return run_sendmail(*arguments);
  }
  CLI::App app{
      "stsrelay: outbound SMTP relay that decides what TLS each destination deserves (MTA-STS), "
      "obeys that decision, and counts every outcome for TLS reports.",
      "stsrelay"};
  app.set_version_flag("--version", fmt::format("stsrelay {}", control::kVersion));
  app.require_subcommand(1);
  app.footer(kExitCodes);
  Invocation invocation;
  add_run(app, invocation);
  add_check(app, invocation);
  add_config(app, invocation);
  add_queue(app, invocation);
  add_clients(app, invocation);
  add_policy(app, invocation);
  add_status(app, invocation);
  add_health(app, invocation);
  add_results(app, invocation);
  add_report(app, invocation);
  add_trace(app, invocation);
  add_hash_password(app, invocation);
  add_sendmail(app, invocation);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (app.exit(error) == 0) {
      return kDone;
    }
    return app.got_subcommand("check") ? kCheckUndetermined : kUsage;
  }
  return invocation.run();
}

}  // namespace
}  // namespace relay::cli

int main(int argc, char** argv) {
  try {
    return relay::cli::run_command(argc, argv);
  } catch (const std::exception& fault) {
    // NOLINTNEXTLINE(cert-err33-c): nothing is left to do if this cannot be written either
    std::fprintf(stderr, "stsrelay: %s\n", fault.what());
    return relay::cli::kFailed;
  }
}
