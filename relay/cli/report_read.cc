// `stsrelay report read`: what received TLS reports say.
#include <cstdlib>
#include <memory>
#include <unistd.h>

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/ground.h"
#include "relay/cli/report_input.h"
#include "relay/cli/report_views.h"
#include "relay/cli/text_lookup.h"
#include "relay/settings.h"

namespace relay::cli {
namespace {

constexpr const char* kReadFooter =
    "FILE is JSON, gzip of it, mail, an mbox, a zip of these, a Maildir or other folder, or - for "
    "standard input.\n"
    "Exit codes: 0 all was read, 1 something could not be read, or there were warnings or doubts "
    "with --strict, 2 wrong usage.";

struct ReadOptions {
  std::vector<std::string> files;
  bool json = false;
  bool csv = false;
  bool html = false;
  bool strict = false;
  bool verify = false;
  CLI::App* command = nullptr;
};

ReportCollection collect(const std::vector<std::string>& files) {
  ReportCollection collection;
  const InputSink sink{
      [&](FoundReport found) { collection.add(std::move(found)); },
      [&](UnreadableInput input) { collection.add_unreadable(std::move(input)); },
      [&] { collection.add_other(); },
  };
  for (const std::string& file : files) {
    read_input(file, sink);
  }
  return collection;
}

void show(const ReportCollection& collection, const ReadOptions& options) {
  if (options.json) {
    print_json(reports_as_json(collection));
  } else if (options.csv) {
    print(reports_as_csv(collection));
  } else if (options.html) {
    print(reports_as_html(collection));
  } else {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread changes the environment
    const bool plain = ::isatty(STDOUT_FILENO) == 0 || std::getenv("NO_COLOR") != nullptr;
    print(reports_as_text(collection, plain ? ReportColour::none : ReportColour::ansi));
  }
}

/// Looks the keys up and judges; the error is ready to print.
Expected<void, std::string> verify(const CommonOptions& common, const ReadOptions& options,
                                   ReportCollection& collection) {
  const auto on = ground(common, *options.command);
  if (!on) {
    return Unexpected<std::string>(on.error().front());
  }
  auto dns = dns_options(on->config);
  if (!dns) {
    return Unexpected<std::string>(std::move(dns.error()));
  }
  collection.verify(look_up_texts(collection.key_names(), std::move(*dns)));
  return {};
}

int read_reports(const CommonOptions& common, const ReadOptions& options) {
  ReportCollection collection = collect(options.files);
  if (options.verify) {
    if (const auto verified = verify(common, options, collection); !verified) {
      complain(verified.error());
      return kFailed;
    }
  }
  show(collection, options);
  for (const UnreadableInput& input : collection.unreadable()) {
    complain(
        fmt::format("{}: {} ({})", printable(input.source), printable(input.reason), input.code));
  }
  const bool nothing = collection.reports().empty() && collection.unreadable().empty();
  if (nothing) {
    complain("no TLS report was found");
  }
  const bool odd = options.strict && collection.warnings() + collection.doubtful() > 0;
  if (odd) {
    complain(fmt::format("{} warnings, {} reports of doubtful origin, and --strict was given",
                         collection.warnings(), collection.doubtful()));
  }
  return odd || nothing || !collection.unreadable().empty() ? kFailed : kDone;
}

}  // namespace

void add_report_read(CLI::App& report, Invocation& invocation) {
  const auto options = std::make_shared<ReadOptions>();
  CLI::App* const command =
      add_command(report, invocation, "read",
                  "What received TLS reports say: sessions, failures, and what usually helps",
                  [&invocation, options] { return read_reports(invocation.common, *options); });
  options->command = command;
  command->footer(kReadFooter);
  command->add_option("file", options->files, "Files and folders")->required()->type_name("FILE…");
  CLI::Option* const json =
      command->add_flag("--json", options->json, "Print JSON in one form, for programs");
  CLI::Option* const csv =
      command->add_flag("--csv", options->csv, "Print CSV: a row per failure, and totals");
  CLI::Option* const html = command->add_flag("--html", options->html, "Print one page of HTML");
  json->excludes(csv)->excludes(html);
  csv->excludes(html);
  command->add_flag("--verify", options->verify,
                    "Check the DKIM signatures of mail by their keys in DNS, which is asked for "
                    "nothing else");
  command->add_flag("--strict", options->strict, "Fail if any report is odd in form");
}

}  // namespace relay::cli
