// What the subcommands share: options, exit codes, and how each one is added to the command line.
// A subcommand is one file with one add_…() function.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

namespace relay::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;
inline constexpr int kUnreachable = 75;  // EX_TEMPFAIL of sysexits.h

inline constexpr const char* kExitCodes =
    "Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 75 the daemon cannot be reached.";

struct CommonOptions {
  std::string config_file = "/etc/stsrelay/relay.yaml";
  std::string socket;  ///< empty: the one that the configuration names
  bool json = false;
};

/// The subcommand that was given, ready to run, and the options that any may have.
struct Invocation {
  CommonOptions common;
  std::function<int()> run;
};

/// Adds a subcommand that does something, with its --config; run becomes the invocation.
CLI::App* add_command(CLI::App& parent, Invocation& invocation, const std::string& name,
                      const std::string& description, std::function<int()> run);
/// The same with --json.
CLI::App* add_printing_command(CLI::App& parent, Invocation& invocation, const std::string& name,
                               const std::string& description, std::function<int()> run);
/// The same with --json and --socket, for what the daemon answers.
CLI::App* add_asking_command(CLI::App& parent, Invocation& invocation, const std::string& name,
                             const std::string& description, std::function<int()> run);
/// A subcommand that only holds others.
CLI::App* add_group(CLI::App& parent, const std::string& name, const std::string& description);

void add_run(CLI::App& app, Invocation& invocation);
void add_check(CLI::App& app, Invocation& invocation);
void add_config(CLI::App& app, Invocation& invocation);
void add_queue(CLI::App& app, Invocation& invocation);
/// `queue why` and `top`, below `queue`.
void add_queue_answers(CLI::App& queue, Invocation& invocation);
/// `queue hold`, `release`, `retry`, `requeue`, `bounce`, `remove`, `pause` and `resume`.
void add_queue_changes(CLI::App& queue, Invocation& invocation);
/// `queue export`, below `queue`.
void add_queue_export(CLI::App& queue, Invocation& invocation);
/// `queue import`, below `queue`.
void add_queue_import(CLI::App& queue, Invocation& invocation);
/// `clients`, and `clients hold` and `release`.
void add_clients(CLI::App& app, Invocation& invocation);
void add_policy(CLI::App& app, Invocation& invocation);
/// `policy override`, below `policy`.
void add_policy_override(CLI::App& policy, Invocation& invocation);
void add_status(CLI::App& app, Invocation& invocation);
void add_health(CLI::App& app, Invocation& invocation);
void add_results(CLI::App& app, Invocation& invocation);
/// What became of one message, from its acceptance on; and traces of sessions.
void add_trace(CLI::App& app, Invocation& invocation);
void add_hash_password(CLI::App& app, Invocation& invocation);
void add_sendmail(CLI::App& app, Invocation& invocation);
/// arguments: without the names of program and command. The answer is an exit code of sysexits.h.
[[nodiscard]] int run_sendmail(const std::vector<std::string_view>& arguments);
void add_report(CLI::App& app, Invocation& invocation);
/// `report list`, `preview`, `show`, `send` and `suppress`, below `report`.
void add_report_sending(CLI::App& report, Invocation& invocation);
/// `report setup` and `selftest`, below `report`.
void add_report_setup(CLI::App& report, Invocation& invocation);
/// `report bounced`, below `report`.
void add_report_bounced(CLI::App& report, Invocation& invocation);
/// `report read`, below `report`.
void add_report_read(CLI::App& report, Invocation& invocation);

}  // namespace relay::cli
