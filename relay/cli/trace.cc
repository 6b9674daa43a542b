#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "conf/units.h"
#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"

namespace relay::cli {
namespace {

struct TraceOptions {
  std::string id, domain, time;
};

/// One event on a line of its own, the fields that say nothing new left out.
std::string line_text(const Json& line) {
  std::string text = fmt::format("{}  {}", text_of(line, "time"), text_of(line, "event"));
  if (line.contains("direction")) {
    const std::string direction = text_of(line, "direction");
    const std::string_view arrow = direction == "sent"       ? "->"
                                   : direction == "received" ? "<-"
                                                             : "TLS";
    return fmt::format("{}  {} {} {}\n", text, text_of(line, "host"), arrow, text_of(line, "text"));
  }
  for (const auto& [key, value] : line.items()) {
    if (key != "time" && key != "event" && key != "level" && value.is_string()) {
      text += fmt::format(" {}={}", key, text_of(line, key.c_str()));
    }
  }
  return text + "\n";
}

void print_state(const std::string& id, const Json& message) {
  if (message.is_null()) {
    print(fmt::format("{} is not in the queue any more.\n", id));
    return;
  }
  for (const Json& recipient : message["recipients"]) {
    print(fmt::format("still waits: {}, after {}; next try {}\n", text_of(recipient, "address"),
                      counted(recipient["attempts"], "attempt"),
                      moment(recipient["next_try"], now())));
  }
}

int show(const CommonOptions& options, const control::Trace& wanted, const std::string& name) {
  const auto data = Daemon(options).ask(wanted);
  if (!data) {
    return data.error();
  }
  const bool known = !data->at("lines").empty() || !data->at("message").is_null();
  if (options.json) {
    print_json(*data);
    return known ? kDone : kFailed;
  }
  if (!known) {
    complain(
        fmt::format("nothing is remembered of {}; what log.trace_memory no longer holds, and "
                    "what was before the daemon's start, is in the log only",
                    printable(name)));
    return kFailed;
  }
  for (const Json& line : data->at("lines")) {
    print(line_text(line));
  }
  if (wanted.id) {
    print_state(name, data->at("message"));
  }
  return kDone;
}

int start(const CommonOptions& options, const control::Trace& wanted, const std::string& name) {
  const auto data = Daemon(options).ask(wanted);
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
  } else {
    print(fmt::format(
        "Sessions for {} are traced for {} s. See them in the log (event dialogue), or "
        "with: stsrelay trace {}{}\n",
        printable(name), wanted.seconds, wanted.id ? "" : "--domain ", printable(name)));
  }
  return kDone;
}

/// How long to trace; nullopt: that is no time.
std::optional<std::size_t> seconds_of(const std::string& text) {
  const auto time = conf::parse_duration(text);
  const auto seconds = time ? std::chrono::ceil<std::chrono::seconds>(*time).count() : 0;
  if (seconds < 1 || seconds > static_cast<long>(control::kLongestTrace)) {
    return std::nullopt;
  }
  return static_cast<std::size_t>(seconds);
}

int trace(const CommonOptions& options, const TraceOptions& given) {
  if (given.id.empty() == given.domain.empty()) {
    complain("say what to trace: a message id, or --domain DOMAIN");
    return kUsage;
  }
  control::Trace wanted;
  wanted.domain = given.domain;
  if (!given.id.empty()) {
    wanted.id = spool::MessageId::parse(given.id);
    if (!wanted.id) {
      complain(fmt::format("\"{}\" is no message id", printable(given.id)));
      return kUsage;
    }
  }
  const std::string& name = wanted.id ? given.id : given.domain;
  if (given.time.empty()) {
    return show(options, wanted, name);
  }
  const auto seconds = seconds_of(given.time);
  if (!seconds) {
    complain(fmt::format("--for {} is no time from 1s to 24h; write for example 10m",
                         printable(given.time)));
    return kUsage;
  }
  wanted.seconds = *seconds;
  return start(options, wanted, name);
}

}  // namespace

void add_trace(CLI::App& app, Invocation& invocation) {
  const auto given = std::make_shared<TraceOptions>();
  CLI::App* const command = add_asking_command(
      app, invocation, "trace",
      "What happened to one message, in order; or the SMTP and TLS dialogue of sessions",
      [&invocation, given] { return trace(invocation.common, *given); });
  command->add_option("id", given->id, "Message id");
  command->add_option("--domain", given->domain, "Sessions for this recipient domain instead");
  command->add_option("--for", given->time,
                      "Start to trace sessions, for so long: 10m; at most 24h and 10000 lines");
}

}  // namespace relay::cli
