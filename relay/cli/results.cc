#include <memory>
#include <string>

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"
#include "relay/cli/paging.h"
#include "relay/control/timestamp.h"

namespace relay::cli {
namespace {

std::string policy_text(const Json& policy) {
  const std::string type = text_of(policy, "type");
  const std::string domain = text_of(policy, "domain");
  return domain.empty() ? type : fmt::format("{} {}", type, domain);
}

std::string failure_text(const Json& failure) {
  std::string text = text_of(failure, "result_type");
  for (const char* key : {"reason_code", "receiving_mx_hostname", "receiving_ip"}) {
    const std::string value = text_of(failure, key);
    text += value.empty() ? "" : "  " + value;
  }
  return text;
}

void print_results(const Json& results) {
  Table table({"DOMAIN", "POLICY", "SUCCEEDED", "FAILED", "TIMES", "FAILURE"});
  for (const Json& result : results) {
    std::vector<std::string> row{text_of(result, "report_domain"), policy_text(result["policy"]),
                                 number_of(result, "successful_sessions"),
                                 number_of(result, "failed_sessions")};
    if (result["failures"].empty()) {
      table.add(row);
    }
    for (const Json& failure : result["failures"]) {
      row.push_back(number_of(failure, "count"));
      row.push_back(failure_text(failure));
      table.add(std::exchange(row, {"", "", "", ""}));
    }
  }
  print(table.text());
}

int results(const CommonOptions& options, const std::string& day_text, std::size_t limit) {
  const auto day = day_text.empty() ? std::chrono::floor<std::chrono::days>(now())
                                    : control::parse_day(day_text);
  if (!day) {
    complain(fmt::format("\"{}\" is no day; write for example 2026-03-01", printable(day_text)));
    return kUsage;
  }
  Daemon daemon(options);
  auto data = ask_for_list(daemon, "results", limit, [&day](const Json& next, std::size_t size) {
    return control::Results{*day, size, next.is_number() ? next.get<std::size_t>() : 0};
  });
  if (!data) {
    return data.error();
  }
  if (options.json) {
    Json answer{{"day", control::day_text(*day)}};
    answer.update(*data);
    print_json(answer);
    return kDone;
  }
  print(fmt::format("TLS results of {} (UTC), by report domain and policy\n",
                    control::day_text(*day)));
  if (data->at("results").empty()) {
    print("No session was counted.\n");
  } else {
    print_results(data->at("results"));
  }
  if (!data->at("next").is_null()) {
    print("There are more, see --limit.\n");
  }
  return kDone;
}

}  // namespace

void add_results(CLI::App& app, Invocation& invocation) {
  const auto day = std::make_shared<std::string>();
  const auto limit = std::make_shared<std::size_t>(control::kDefaultLimit);
  CLI::App* const command = add_asking_command(
      app, invocation, "results",
      "A day's TLS result counts by domain and policy; TLS reports (RFC 8460) are made of them",
      [&invocation, day, limit] { return results(invocation.common, *day, *limit); });
  command->add_option("--day", *day, "UTC day; today if not given")->type_name("YYYY-MM-DD");
  command->add_option("--limit", *limit, "At most so many domains and policies; 0: all")
      ->capture_default_str();
}

}  // namespace relay::cli
