#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"
#include "relay/cli/queue_options.h"

namespace relay::cli {
namespace {

int why(const CommonOptions& options, const std::string& text) {
  const auto id = parsed_id(text);
  if (!id) {
    return kUsage;
  }
  const auto data = Daemon(options).ask(control::QueueWhy{*id});
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
  }
  print(fmt::format("{} is {}. {}\n", text_of(*data, "id"), text_of(*data, "state"),
                    text_of(*data, "summary")));
  for (const Json& recipient : data->at("recipients")) {
    print(fmt::format("\n{}\n  {}\n  {}\n  {}\n", text_of(recipient, "address"),
                      text_of(recipient, "happened"), text_of(recipient, "next"),
                      text_of(recipient, "policy")));
  }
  return kDone;
}

std::vector<std::string> row_of(const Json& row) {
  const std::string name = text_of(row, "name");
  std::vector<std::string> cells{name.empty() ? "<>" : name, number_of(row, "recipients")};
  for (const Json& count : row["ages"]) {
    cells.push_back(count.dump());
  }
  return cells;
}

int top(const CommonOptions& options, const control::QueueTop& wanted) {
  const auto data = Daemon(options).ask(wanted);
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
  }
  std::vector<std::string> header{wanted.by_sender ? "SENDER" : "DOMAIN", "RECIPIENTS"};
  for (const Json& minutes : data->at("minutes")) {
    header.push_back(fmt::format("<{}m", minutes.dump()));
  }
  header.emplace_back("older");
  Table table(std::move(header));
  table.add(row_of(data->at("total")));
  for (const Json& row : data->at("rows")) {
    table.add(row_of(row));
  }
  print(table.text());
  const auto shown = data->at("rows").size();
  const auto count = data->at("count").get<std::size_t>();
  if (shown < count) {
    print(fmt::format("{} more, see --limit\n", count - shown));
  }
  return kDone;
}

}  // namespace

void add_queue_answers(CLI::App& queue, Invocation& invocation) {
  const auto id = std::make_shared<std::string>();
  add_asking_command(queue, invocation, "why",
                     "Why a message still waits: what happened and what comes next",
                     [&invocation, id] { return why(invocation.common, *id); })
      ->add_option("id", *id, "Message id")
      ->required();
  const auto wanted = std::make_shared<control::QueueTop>();
  CLI::App* const command =
      add_asking_command(queue, invocation, "top", "How much waits, by domain and age",
                         [&invocation, wanted] { return top(invocation.common, *wanted); });
  command->add_flag("--by-sender", wanted->by_sender, "By sender instead of recipient domain");
  command->add_option("--limit", wanted->limit, "At most so many lines")->capture_default_str();
}

}  // namespace relay::cli
