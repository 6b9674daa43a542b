// `stsrelay report`: TLS reports, received and to be sent.
#include "relay/cli/commands.h"

namespace relay::cli {

void add_report(CLI::App& app, Invocation& invocation) {
  CLI::App* const group = add_group(app, "report", "TLS reports (TLS-RPT, RFC 8460)");
  add_report_sending(*group, invocation);
  add_report_bounced(*group, invocation);
  add_report_setup(*group, invocation);
  add_report_read(*group, invocation);
}

}  // namespace relay::cli
