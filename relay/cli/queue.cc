#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"
#include "relay/cli/paging.h"
#include "relay/cli/queue_options.h"

namespace relay::cli {
namespace {

struct ListOptions {
  FilterOptions filter;
  std::size_t limit = control::kDefaultLimit;
};

std::string sender_text(const Json& message) {
  const std::string sender = text_of(message, "sender");
  return sender.empty() ? "<>" : sender;
}

void add_rows(Table& table, const Json& message, net::WallTime time) {
  std::vector<std::string> first{text_of(message, "id"), short_moment(message["received_at"], time),
                                 octets(message["size"]), sender_text(message)};
  for (const Json& recipient : message["recipients"]) {
    std::vector<std::string> row = std::exchange(first, {"", "", "", ""});
    const std::string result = text_of(recipient, "last_result");
    row.insert(row.end(),
               {text_of(recipient, "address"), number_of(recipient, "attempts"),
                message.contains("held") ? "held" : short_moment(recipient["next_try"], time),
                result.empty() ? "-" : result});
    table.add(std::move(row));
  }
  const auto count = message["recipient_count"].get<std::size_t>();
  if (count > message["recipients"].size()) {
    first[3] = fmt::format("… and {} recipients more", count - message["recipients"].size());
    table.add(first);
  }
}

/// What rests, as `queue list` says it before the messages.
int print_pauses(Daemon& daemon) {
  const auto status = daemon.ask(control::Status{});
  if (!status) {
    return status.error();
  }
  for (const Json& pause : status->at("pauses")) {
    print(fmt::format("PAUSED: {} rests since {}{}.\n", text_of(pause, "what"),
                      moment(pause["since"], now()), reason_text(pause)));
  }
  return kDone;
}

int list(const CommonOptions& options, ListOptions& wanted) {
  if (!wanted.filter.read()) {
    return kUsage;
  }
  Daemon daemon(options);
  const auto data =
      ask_for_list(daemon, "messages", wanted.limit, [&wanted](const Json& next, std::size_t size) {
        return control::QueueList{
            wanted.filter.filter, size,
            next.is_string() ? spool::MessageId::parse(next.get<std::string>()) : std::nullopt};
      });
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
  }
  if (const int result = print_pauses(daemon); result != kDone) {
    return result;
  }
  const Json& messages = data->at("messages");
  if (messages.empty()) {
    print("No such message waits.\n");
    return kDone;
  }
  Table table({"ID", "ARRIVED", "SIZE", "SENDER", "RECIPIENT", "TRIES", "NEXT TRY", "LAST RESULT"});
  for (const Json& message : messages) {
    add_rows(table, message, now());
  }
  print(table.text());
  print(fmt::format("{}{}\n", counted(messages.size(), "message"),
                    data->at("next").is_null() ? "" : "; there are more, see --limit"));
  return kDone;
}

std::string tls_text(const std::string& tls) {
  if (tls == "required") {
    return "required: by REQUIRETLS (RFC 8689)";
  }
  return tls == "optional" ? "optional: by the header field TLS-Required: No (RFC 8689)" : tls;
}

void print_message(const Json& message, net::WallTime time) {
  Table table({"id", text_of(message, "id")});
  table.add({"origin", text_of(message, "origin")});
  table.add({"sender", sender_text(message)});
  table.add({"arrived", moment(message["received_at"], time)});
  table.add({"expires", moment(message["expires_at"], time)});
  table.add({"size", octets(message["size"])});
  table.add({"priority", text_of(message, "priority")});
  if (message.contains("held")) {
    table.add({"held", fmt::format("{}, since {}", text_of(message, "held"),
                                   moment(message["held_at"], time))});
  }
  table.add({"tls", tls_text(text_of(message, "tls"))});
  table.add({"client",
             fmt::format("{} {}", text_of(message, "client_ip"), text_of(message, "client_helo"))});
  if (message.contains("listener")) {
    table.add({"listener", text_of(message, "listener")});
  }
  print(table.text());
  for (const Json& recipient : message["recipients"]) {
    Table details({fmt::format("\nrecipient"), text_of(recipient, "address")});
    details.add({"  tries", number_of(recipient, "attempts")});
    details.add({"  next try", moment(recipient["next_try"], time)});
    const std::string result = text_of(recipient, "last_result");
    details.add({"  last result", result.empty() ? "-" : result});
    print(details.text());
  }
}

int show_message(const CommonOptions& options, const std::string& text) {
  const auto id = parsed_id(text);
  if (!id) {
    return kUsage;
  }
  const auto data = Daemon(options).ask(control::QueueShow{*id});
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
  } else {
    print_message(*data, now());
  }
  return kDone;
}

void add_list(CLI::App& group, Invocation& invocation) {
  const auto wanted = std::make_shared<ListOptions>();
  CLI::App* const command =
      add_asking_command(group, invocation, "list", "What waits, in order of arrival, and why",
                         [&invocation, wanted] { return list(invocation.common, *wanted); });
  add_filter(*command, wanted->filter);
  command->add_option("--limit", wanted->limit, "At most so many messages; 0: all")
      ->capture_default_str();
}

void add_show(CLI::App& group, Invocation& invocation) {
  const auto id = std::make_shared<std::string>();
  add_asking_command(group, invocation, "show", "Everything about one message but its content",
                     [&invocation, id] { return show_message(invocation.common, *id); })
      ->add_option("id", *id, "Message id")
      ->required();
}

}  // namespace

void add_queue(CLI::App& app, Invocation& invocation) {
  CLI::App* const group = add_group(app, "queue", "Look at and change what waits for delivery");
  add_list(*group, invocation);
  add_show(*group, invocation);
  add_queue_answers(*group, invocation);
  add_queue_changes(*group, invocation);
  add_queue_export(*group, invocation);
  add_queue_import(*group, invocation);
}

}  // namespace relay::cli
