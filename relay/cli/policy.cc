#include <memory>
#include <string>

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"
#include "relay/cli/paging.h"

namespace relay::cli {
namespace {

std::string mx_text(const Json& policy) {
  std::vector<std::string> patterns;
  for (const Json& pattern : policy["mx"]) {
    patterns.push_back(printable(pattern.get<std::string>()));
  }
  return fmt::format("{}", fmt::join(patterns, ", "));
}

std::string expiry(const Json& policy, const std::string& text) {
  return policy["expired"].get<bool>() ? text + " (expired)" : text;
}

int list(const CommonOptions& options, std::size_t limit) {
  Daemon daemon(options);
  const auto data = ask_for_list(daemon, "policies", limit, [](const Json& next, std::size_t size) {
    return control::PolicyList{size, next.is_string() ? next.get<std::string>() : ""};
  });
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
  }
  const Json& policies = data->at("policies");
  if (policies.empty()) {
    print("No policy is cached.\n");
    return kDone;
  }
  const net::WallTime time = now();
  Table table({"DOMAIN", "MODE", "ID", "FETCHED", "EXPIRES", "MX"});
  for (const Json& policy : policies) {
    table.add({text_of(policy, "domain"), text_of(policy, "mode"), text_of(policy, "id"),
               short_moment(policy["fetched_at"], time),
               expiry(policy, short_moment(policy["expires_at"], time)), mx_text(policy)});
  }
  print(table.text());
  if (!data->at("next").is_null()) {
    print("There are more, see --limit.\n");
  }
  return kDone;
}

/// Line by line, so that what a policy host serves cannot drive the terminal.
void print_body(const std::string& body) {
  std::size_t start = 0;
  while (start < body.size()) {
    const std::size_t end = std::min(body.find('\n', start), body.size());
    std::string line = body.substr(start, end - start);
    if (line.ends_with('\r')) {
      line.pop_back();
    }
    print(fmt::format("  {}\n", printable(line)));
    start = end + 1;
  }
}

void add_state(Table& table, const Json& policy, net::WallTime time) {
  table.add({"next refresh", moment(policy["refresh_at"], time)});
  if (const Json& failing = policy["failing"]; !failing.is_null()) {
    table.add(
        {"failing since", fmt::format("{}: {} ({})", moment(failing["since"], time),
                                      text_of(failing, "reason"), text_of(failing, "fault"))});
  }
  if (const Json& back_off = policy["back_off"]; !back_off.is_null()) {
    table.add({"back-off",
               fmt::format("until {}, after {} for id {}: {}", moment(back_off["until"], time),
                           counted(back_off["failures"], "fetch"), text_of(back_off, "id"),
                           text_of(back_off, "reason"))});
  }
}

int show_policy(const CommonOptions& options, const std::string& domain) {
  const auto data = Daemon(options).ask(control::PolicyShow{domain});
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
  }
  const net::WallTime time = now();
  Table table({"domain", text_of(*data, "domain")});
  table.add({"mode", text_of(*data, "mode")});
  table.add({"id", text_of(*data, "id")});
  table.add({"mx", mx_text(*data)});
  table.add({"max_age", number_of(*data, "max_age") + " s"});
  table.add({"fetched", moment(data->at("fetched_at"), time)});
  table.add({"expires", expiry(*data, moment(data->at("expires_at"), time))});
  add_state(table, *data, time);
  print(table.text() + "\nAs served:\n");
  print_body(data->at("body").get<std::string>());
  return kDone;
}

int refresh(const CommonOptions& options, const std::string& domain) {
  const auto data = Daemon(options).ask(control::PolicyRefresh{domain});
  if (!data) {
    return data.error();
  }
  const bool failed = text_of(*data, "outcome") == "failed";
  if (options.json) {
    print_json(*data);
    return failed ? kFailed : kDone;
  }
  const net::WallTime time = now();
  print(fmt::format("{}: {}\n", text_of(*data, "domain"), text_of(*data, "note")));
  if (const Json& policy = data->at("policy"); !policy.is_null()) {
    Table table({"mode", text_of(policy, "mode")});
    table.add({"id", text_of(policy, "id")});
    table.add({"mx", mx_text(policy)});
    table.add({"expires", moment(policy["expires_at"], time)});
    print(table.text());
  }
  for (const Json& each : data->at("diagnostics")) {
    print(fmt::format("line {}: {}\n", number_of(each, "line"), text_of(each, "message")));
  }
  return failed ? kFailed : kDone;
}

int history(const CommonOptions& options, const std::string& domain) {
  const auto data = Daemon(options).ask(control::PolicyHistory{domain});
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
  }
  const Json& replaced = data->at("replaced");
  if (replaced.empty()) {
    print(fmt::format("No policy of {} was replaced.\n", text_of(*data, "domain")));
    return kDone;
  }
  const net::WallTime time = now();
  Table table({"REPLACED", "WHY", "MODE", "ID", "MAX_AGE", "FETCHED"});
  for (const Json& each : replaced) {
    table.add({short_moment(each["replaced_at"], time), text_of(each, "why"), text_of(each, "mode"),
               text_of(each, "id"), number_of(each, "max_age"),
               short_moment(each["fetched_at"], time)});
  }
  print(table.text() + "\nThe bodies are shown with --json.\n");
  return kDone;
}

/// Page by page: a million policies do not fit into one answer.
int export_all(const CommonOptions& options) {
  Daemon daemon(options);
  std::string after;
  const char* separator = "\n";
  print(options.json ? "[" : "");
  while (true) {
    const auto page = daemon.ask(control::PolicyExport{control::kDefaultLimit, after});
    if (!page) {
      return page.error();
    }
    for (const Json& policy : page->at("policies")) {
      const std::string line = policy.dump(-1, ' ', false, Json::error_handler_t::replace);
      print(options.json ? separator + line : line + "\n");
      separator = ",\n";
    }
    if (page->at("next").is_null()) {
      print(options.json ? "\n]\n" : "");
      return kDone;
    }
    after = page->at("next").get<std::string>();
  }
}

}  // namespace

void add_policy(CLI::App& app, Invocation& invocation) {
  CLI::App* const group =
      add_group(app, "policy", "Look at the cached MTA-STS policies, and override them");
  const auto limit = std::make_shared<std::size_t>(control::kDefaultLimit);
  add_asking_command(*group, invocation, "list", "All cached policies, by domain",
                     [&invocation, limit] { return list(invocation.common, *limit); })
      ->add_option("--limit", *limit, "At most so many; 0: all")
      ->capture_default_str();
  const auto domain = std::make_shared<std::string>();
  add_asking_command(*group, invocation, "show", "One domain's policy, as it was served",
                     [&invocation, domain] { return show_policy(invocation.common, *domain); })
      ->add_option("domain", *domain, "Policy domain")
      ->required();
  add_asking_command(*group, invocation, "refresh", "Fetch one domain's policy now",
                     [&invocation, domain] { return refresh(invocation.common, *domain); })
      ->add_option("domain", *domain, "Policy domain")
      ->required();
  add_asking_command(*group, invocation, "history", "The policies that a domain's policy replaced",
                     [&invocation, domain] { return history(invocation.common, *domain); })
      ->add_option("domain", *domain, "Policy domain")
      ->required();
  add_asking_command(*group, invocation, "export",
                     "All cached policies with their bodies, one JSON object a line",
                     [&invocation] { return export_all(invocation.common); });
  add_policy_override(*group, invocation);
}

}  // namespace relay::cli
