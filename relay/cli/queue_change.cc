#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"
#include "relay/cli/queue_options.h"

namespace relay::cli {
namespace {

/// So many fit into one request.
constexpr std::size_t kIdsAtOnce = 1000;

struct ChangeOptions {
  control::QueueAction action = control::QueueAction::hold;
  FilterOptions filter;
  std::vector<std::string> ids;
  std::string reason;
  bool all = false;
  bool dry_run = false;
};

struct Verb {
  control::QueueAction action;
  const char* name;
  const char* description;
  const char* done;
};
constexpr std::array<Verb, 6> kVerbs{{
    {control::QueueAction::hold, "hold", "Keep messages from being tried until they are released",
     "Held:"},
    {control::QueueAction::release, "release", "Let held messages be tried again", "Released:"},
    {control::QueueAction::retry, "retry", "Try messages now instead of at their next time",
     "Due now:"},
    {control::QueueAction::requeue, "requeue",
     "Begin anew, as if they had just arrived: attempts, lifetime, hold", "Queued anew:"},
    {control::QueueAction::bounce, "bounce", "Return messages to their senders with a notice",
     "Returned:"},
    {control::QueueAction::remove, "remove",
     "Remove messages for good, without a notice to the sender", "Removed:"},
}};

const Verb& verb_of(control::QueueAction action) {
  return *std::ranges::find(kVerbs, action, &Verb::action);
}

/// The options as requests; empty: they are wrong, which was said.
std::vector<control::QueueChange> requests_of(ChangeOptions& wanted) {
  if (!wanted.filter.read()) {
    return {};
  }
  if (wanted.ids.empty() && wanted.filter.filter.empty() && !wanted.all) {
    complain("say which messages: ids, options like --domain or --sender, or --all");
    return {};
  }
  if (wanted.all && !(wanted.ids.empty() && wanted.filter.filter.empty())) {
    complain("--all goes with neither ids nor options like --domain or --sender");
    return {};
  }
  control::QueueChange request{wanted.action, {}, wanted.filter.filter, wanted.all, wanted.dry_run,
                               wanted.reason, {}};
  std::vector<control::QueueChange> requests;
  for (const std::string& text : wanted.ids) {
    const auto id = parsed_id(text);
    if (!id) {
      return {};
    }
    if (request.ids.size() == kIdsAtOnce) {
      requests.push_back(request);
      request.ids.clear();
    }
    request.ids.push_back(*id);
  }
  requests.push_back(request);
  return requests;
}

void add_up(Json& sum, const Json& answer) {
  for (const char* key : {"messages", "recipients", "under_way", "notices"}) {
    if (answer.contains(key)) {
      sum[key] = sum.value(key, std::uint64_t{0}) + answer[key].get<std::uint64_t>();
    }
  }
  for (const char* key : {"ids", "missing"}) {
    for (const Json& id : answer[key]) {
      sum[key].push_back(id);
    }
  }
}

void print_change(const ChangeOptions& wanted, const Json& sum) {
  const std::string what = fmt::format("{} with {}", counted(sum["messages"], "message"),
                                       counted(sum["recipients"], "recipient"));
  if (wanted.dry_run) {
    print(fmt::format("Would be changed by {}: {}\n", verb_of(wanted.action).name, what));
    return;
  }
  print(fmt::format("{} {}\n", verb_of(wanted.action).done, what));
  if (sum.contains("notices")) {
    print(fmt::format("{} to their senders\n", counted(sum["notices"], "notice")));
  }
  if (sum["under_way"] != 0) {
    print(fmt::format("{} being tried at this moment; {}\n", counted(sum["under_way"], "recipient"),
                      wanted.action == control::QueueAction::bounce
                          ? "the attempt decides, they were not returned"
                          : "the attempt ends first"));
  }
}

int change(const CommonOptions& options, ChangeOptions& wanted) {
  const auto requests = requests_of(wanted);
  if (requests.empty()) {
    return kUsage;
  }
  Daemon daemon(options);
  Json sum{{"action", verb_of(wanted.action).name},
           {"dry_run", wanted.dry_run},
           {"messages", 0},
           {"recipients", 0},
           {"under_way", 0},
           {"ids", Json::array()},
           {"missing", Json::array()}};
  for (const control::QueueChange& request : requests) {
    const auto data = daemon.ask(request);
    if (!data) {
      return data.error();
    }
    add_up(sum, *data);
  }
  if (options.json) {
    print_json(sum);
  } else {
    print_change(wanted, sum);
  }
  for (const Json& id : sum["missing"]) {
    complain(fmt::format("no message {} in the queue; it may have been delivered or removed",
                         id.get<std::string>()));
  }
  return sum["missing"].empty() ? kDone : kFailed;
}

void add_change(CLI::App& group, Invocation& invocation, const Verb& verb) {
  const auto wanted = std::make_shared<ChangeOptions>();
  wanted->action = verb.action;
  CLI::App* const command =
      add_asking_command(group, invocation, verb.name, verb.description,
                         [&invocation, wanted] { return change(invocation.common, *wanted); });
  command->add_option("id", wanted->ids, "Message ids");
  add_filter(*command, wanted->filter);
  command->add_flag("--all", wanted->all, "Everything in the queue");
  command->add_flag("--dry-run", wanted->dry_run, "Only count what would be changed");
  if (verb.action == control::QueueAction::hold || verb.action == control::QueueAction::bounce) {
    command->add_option("--reason", wanted->reason,
                        verb.action == control::QueueAction::hold
                            ? "Why, for whoever looks at the queue later"
                            : "Why, for the sender to read");
  }
}

/// What is to rest; the destination options exclude each other.
struct PauseOptions {
  std::string domain, route, reason;
  bool all = false;
};

struct Subject {
  spool::Pause::Kind kind;
  std::string name;
};

/// nullopt: the options are wrong, which was said.
std::optional<Subject> subject_of(const PauseOptions& wanted) {
  const int ways =
      (wanted.domain.empty() ? 0 : 1) + (wanted.route.empty() ? 0 : 1) + (wanted.all ? 1 : 0);
  if (ways != 1) {
    complain("say what: --domain DOMAIN, --route HOST[:PORT] or --all, one of them");
    return std::nullopt;
  }
  if (wanted.all) {
    return Subject{spool::Pause::Kind::everything, ""};
  }
  return wanted.route.empty() ? Subject{spool::Pause::Kind::domain, wanted.domain}
                              : Subject{spool::Pause::Kind::next_hop, wanted.route};
}

int ask_about(const CommonOptions& options, const control::Request& request, const char* member,
              std::string_view said) {
  const auto data = Daemon(options).ask(request);
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
  } else {
    print(fmt::format("{}: {}\n", said, text_of(*data, member)));
  }
  return kDone;
}

int pause(const CommonOptions& options, const PauseOptions& wanted) {
  const auto subject = subject_of(wanted);
  return subject ? ask_about(options,
                             control::QueuePause{subject->kind, subject->name, wanted.reason, {}},
                             "what", "Paused, until `stsrelay queue resume`")
                 : kUsage;
}

int resume(const CommonOptions& options, const PauseOptions& wanted) {
  const auto subject = subject_of(wanted);
  return subject ? ask_about(options, control::QueueResume{subject->kind, subject->name, {}},
                             "resumed", "Resumed")
                 : kUsage;
}

CLI::App* add_pause(CLI::App& group, Invocation& invocation, const char* name,
                    const char* description, const std::shared_ptr<PauseOptions>& wanted,
                    int (*run)(const CommonOptions&, const PauseOptions&)) {
  CLI::App* const command =
      add_asking_command(group, invocation, name, description,
                         [&invocation, wanted, run] { return run(invocation.common, *wanted); });
  command->add_option("--domain", wanted->domain, "Mail to this recipient domain");
  command->add_option("--route", wanted->route, "Mail that goes to this next hop, HOST[:PORT]");
  command->add_flag("--all", wanted->all, "All mail");
  return command;
}

}  // namespace

void add_queue_changes(CLI::App& queue, Invocation& invocation) {
  for (const Verb& verb : kVerbs) {
    add_change(queue, invocation, verb);
  }
  const auto to_pause = std::make_shared<PauseOptions>();
  add_pause(queue, invocation, "pause", "Take mail but try nothing, for some destinations or all",
            to_pause, pause)
      ->add_option("--reason", to_pause->reason, "Why, for whoever looks at the queue later");
  add_pause(queue, invocation, "resume", "End a pause", std::make_shared<PauseOptions>(), resume);
}

}  // namespace relay::cli
