#include "relay/cli/queue_options.h"

#include <fmt/format.h>

#include "conf/units.h"
#include "relay/cli/output.h"

namespace relay::cli {
namespace {

bool read_age(const std::string& text, std::chrono::seconds& age) {
  if (text.empty()) {
    return true;
  }
  const auto parsed = conf::parse_duration(text);
  if (!parsed || *parsed < std::chrono::seconds(1)) {
    complain(fmt::format("\"{}\" is no age; write for example 30s, 5m, 4h or 2d", printable(text)));
    return false;
  }
  age = std::chrono::duration_cast<std::chrono::seconds>(*parsed);
  return true;
}

}  // namespace

bool FilterOptions::read() {
  return read_age(older_than, filter.older_than) && read_age(newer_than, filter.newer_than);
}

void add_filter(CLI::App& command, FilterOptions& options) {
  control::QueueFilter& filter = options.filter;
  command.add_option("--domain", filter.domain, "Only recipients in this domain");
  command.add_option("--sender", filter.sender, "Only senders that contain this text");
  command.add_option("--recipient", filter.recipient, "Only recipients that contain this text");
  command.add_option("--older-than", options.older_than, "Only what arrived so long ago: 30m, 2d");
  command.add_option("--newer-than", options.newer_than, "Only what arrived since: 30m, 2d");
  command.add_flag("--held", filter.held, "Only what is held");
  command.add_option("--held-for", filter.held_for,
                     "Only what is held for a reason with this text");
}

std::optional<spool::MessageId> parsed_id(const std::string& text) {
  const auto id = spool::MessageId::parse(text);
  if (!id) {
    complain(
        fmt::format("\"{}\" is no message id; `stsrelay queue list` shows them", printable(text)));
  }
  return id;
}

std::string reason_text(const Json& pause) {
  const std::string reason = text_of(pause, "reason");
  return reason.empty() ? reason : ": " + reason;
}

}  // namespace relay::cli
