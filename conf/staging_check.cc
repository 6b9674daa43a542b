// What makes a staging section unsafe or contradictory.
#include <algorithm>

#include <fmt/format.h>

#include "conf/check.h"

namespace conf {
namespace {

/// Staging must not come along with a configuration that was copied to where it does not belong.
void check_confirm(const Config& config, Findings& findings) {
  if (config.hostname.empty()) {
    findings.fail("staging",
                  "needs hostname to be set in this file, so that a copy of it elsewhere does not "
                  "turn a productive relay into one for staging");
  } else if (config.staging->confirm != config.hostname) {
    findings.fail(
        "staging.confirm",
        fmt::format("must repeat the hostname of the relay that is for staging; if {0} is, write "
                    "confirm: {0}, and if it delivers real mail, remove the section staging",
                    config.hostname));
  }
}

void check_modes(const Staging& staging, Findings& findings) {
  if (staging.modes().empty()) {
    findings.fail("staging",
                  "does not say what to do; write one of sink, capture, redirect_to, dry_run, "
                  "faults or soft_bounce, or remove the section");
  }
  const bool sinks = staging.sink || !staging.capture.empty();
  if ((sinks ? 1 : 0) + (staging.redirect_to.empty() ? 0 : 1) + (staging.dry_run ? 1 : 0) > 1) {
    findings.fail("staging",
                  "can do only one of sink or capture, redirect_to and dry_run; remove the others");
  }
}

/// A pattern that all mail of the world matches would let all of it out.
bool is_narrow(std::string_view pattern) {
  const std::size_t at = pattern.rfind('@');
  const std::string_view domain = at == std::string_view::npos ? "" : pattern.substr(at + 1);
  const std::string_view fixed = domain.substr(domain.rfind('*') + 1);
  return std::ranges::count(fixed, '.') >= (fixed == domain ? 1 : 2) && !fixed.ends_with('.');
}

void check_allowed(const Staging& staging, Findings& findings) {
  if (!staging.allow_recipients.empty() && staging.redirect_to.empty()) {
    findings.fail("staging.allow_recipients",
                  "names who is not redirected, but nobody is; set redirect_to");
  }
  for (std::size_t i = 0; i < staging.allow_recipients.size(); ++i) {
    const std::string& pattern = staging.allow_recipients[i];
    if (!is_narrow(pattern)) {
      findings.fail(fmt::format("staging.allow_recipients[{}]", i),
                    fmt::format("\"{}\" lets mail out to anybody; name the domain, for example "
                                "\"*@example.com\" or \"*@*.example.com\"",
                                pattern));
    }
  }
}

void check_fault(const StagingFault& fault, const std::string& path, Findings& findings) {
  using Connection = StagingFault::Connection;
  const bool submission = fault.at == StagingFault::At::submission;
  if (fault.recipient.empty()) {
    findings.fail(path, "has no recipient; write for example recipient: \"tempfail@*\"");
  }
  if (!fault.reply.empty() && !is_reply(fault.reply)) {
    findings.fail(path + ".reply",
                  fmt::format("\"{}\" is no SMTP reply; write for example \"451 4.3.0 Try again "
                              "later\"",
                              fault.reply));
  }
  if (!fault.reply.empty() && fault.connection != Connection::kept) {
    findings.fail(path + ".connection", "leaves no room for the reply; remove one of the two");
  }
  const bool nothing = fault.reply.empty() && fault.connection == Connection::kept;
  if (nothing && !(submission && fault.delay > Duration::zero())) {
    findings.fail(path, fmt::format("does not say what happens; give a reply or a connection{}",
                                    submission ? ", or a delay" : ""));
  }
  if (submission && fault.connection == Connection::tls_failed) {
    findings.fail(path + ".connection",
                  "cannot be tls_failed at submission, because the handshake is over when a "
                  "recipient is named; write at: delivery");
  }
  if (submission && fault.connection == Connection::dropped && fault.delay > Duration::zero()) {
    findings.fail(path + ".delay", "is for an answer, and there is none; remove it");
  }
}

std::vector<std::string> hops_of(const Route& route) {
  std::vector<std::string> hops;
  for (const Upstream& upstream : route.upstreams) {
    hops.push_back(upstream.host);
  }
  if (hops.empty()) {
    hops.push_back(route.mx.empty() ? route.host : route.mx);
  }
  return hops;
}

/// A route is where productive relays have the way to their provider written down.
void check_only_hosts(const Config& config, Findings& findings) {
  const Staging& staging = *config.staging;
  if (staging.sink || !staging.capture.empty() || config.test_world) {
    return;
  }
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    for (const std::string& hop : hops_of(config.routes[i])) {
      if (!matches_any(staging.only_hosts, hop)) {
        findings.fail(fmt::format("routes[{}]", i),
                      fmt::format("leads to {0}, which staging.only_hosts does not name; remove "
                                  "the route, or, if {0} is for staging too, list it there",
                                  hop));
      }
    }
  }
}

}  // namespace

void check_staging(const Config& config, Findings& findings) {
  if (!config.staging) {
    return;
  }
  const Staging& staging = *config.staging;
  check_confirm(config, findings);
  check_modes(staging, findings);
  check_allowed(staging, findings);
  check_only_hosts(config, findings);
  for (std::size_t i = 0; i < staging.faults.size(); ++i) {
    check_fault(staging.faults[i], fmt::format("staging.faults[{}]", i), findings);
  }
  if (config.reports.enabled() && config.reports.dry_run_folder.empty()) {
    findings.fail("reports.contact",
                  "would have a relay for staging report to real domains; set "
                  "reports.dry_run_folder, or remove it");
  }
}

}  // namespace conf
