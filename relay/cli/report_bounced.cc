// `stsrelay report bounced`: takes the bounces of reports that came back as mail to reports.from.
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "relay/cli/bounced_report.h"
#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"
#include "relay/cli/report_input.h"

namespace relay::cli {
namespace {

std::vector<BouncedReport> bounces_in(const std::string& octets) {
  if (input_kind(octets) == InputKind::mbox) {
    return bounced_reports(octets);
  }
  const auto bounced = bounced_report(octets);
  return bounced ? std::vector{*bounced} : std::vector<BouncedReport>{};
}

/// Tells the daemon about one; false: it did not take it.
bool tell(const CommonOptions& options, const BouncedReport& bounced) {
  const auto data = Daemon(options).ask(control::ReportBounced{bounced.domain, bounced.message_id,
                                                               bounced.recipient, bounced.reason});
  if (!data) {
    return false;
  }
  if (options.json) {
    print_json(*data);
  } else {
    print(
        fmt::format("The report about {} for {} did not arrive at {} ({}); nothing is sent there "
                    "until {}\n",
                    text_of(*data, "domain"), text_of(*data, "day"), text_of(*data, "uri"),
                    text_of(*data, "why"), moment(data->at("until"), now())));
  }
  return true;
}

int take(const CommonOptions& options, const std::vector<std::string>& files) {
  int status = kDone;
  for (const std::string& file : files) {
    const auto octets = file_octets(file);
    if (!octets) {
      complain(fmt::format("{}: {}", printable(file), octets.error()));
      status = kFailed;
      continue;
    }
    const auto bounces = bounces_in(*octets);
    if (bounces.empty()) {
      complain(
          fmt::format("{}: it holds no bounce of a report: none that says for good that a "
                      "mail did not arrive, and returns a report's header",
                      printable(file)));
      status = kFailed;
    }
    for (const BouncedReport& bounced : bounces) {
      status = tell(options, bounced) ? status : kFailed;
    }
  }
  return status;
}

}  // namespace

void add_report_bounced(CLI::App& report, Invocation& invocation) {
  const auto files = std::make_shared<std::vector<std::string>>();
  CLI::App* const command = add_asking_command(
      report, invocation, "bounced",
      "Take bounces of reports that came back as mail, as an alias or a filter pipes them: their "
      "destination gets nothing for a week",
      [&invocation, files] { return take(invocation.common, *files); });
  command->add_option("file", *files, "A mail, an mbox, or - for standard input")->required();
}

}  // namespace relay::cli
