#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"
#include "relay/cli/paging.h"

namespace relay::cli {
namespace {

struct ListOptions {
  std::string domain, sender, recipient;
  std::size_t limit = control::kDefaultLimit;
};
struct SelectionOptions {
  std::vector<std::string> ids;
  std::string domain;
  bool all = false;
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
                short_moment(recipient["next_try"], time), result.empty() ? "-" : result});
    table.add(std::move(row));
  }
  const auto count = message["recipient_count"].get<std::size_t>();
  if (count > message["recipients"].size()) {
    first[3] = fmt::format("… and {} recipients more", count - message["recipients"].size());
    table.add(first);
  }
}

int list(const CommonOptions& options, const ListOptions& wanted) {
  Daemon daemon(options);
  const auto data =
      ask_for_list(daemon, "messages", wanted.limit, [&wanted](const Json& next, std::size_t size) {
        return control::QueueList{
            wanted.domain, wanted.sender, wanted.recipient, size,
            next.is_string() ? spool::MessageId::parse(next.get<std::string>()) : std::nullopt};
      });
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
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

std::optional<spool::MessageId> parsed_id(const std::string& text) {
  const auto id = spool::MessageId::parse(text);
  if (!id) {
    complain(
        fmt::format("\"{}\" is no message id; `stsrelay queue list` shows them", printable(text)));
  }
  return id;
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
  table.add({"tls", tls_text(text_of(message, "tls"))});
  table.add({"client",
             fmt::format("{} {}", text_of(message, "client_ip"), text_of(message, "client_helo"))});
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

/// Sends all requests, also after one was refused, and adds up what they did.
int carry_out(const CommonOptions& options, const std::vector<control::Request>& requests,
              std::string_view deed) {
  Daemon daemon(options);
  Json sum{{"messages", 0}, {"recipients", 0}};
  int result = kDone;
  for (const control::Request& request : requests) {
    const auto data = daemon.ask(request);
    if (!data) {
      result = data.error();
      if (result == kUnreachable) {
        return result;
      }
      continue;
    }
    for (const char* key : {"messages", "recipients"}) {
      sum[key] = sum[key].get<std::uint64_t>() + data->at(key).get<std::uint64_t>();
    }
  }
  if (options.json) {
    print_json(sum);
  } else {
    print(fmt::format("{} {} with {}\n", deed, counted(sum["messages"], "message"),
                      counted(sum["recipients"], "recipient")));
  }
  return result;
}

int retry(const CommonOptions& options, const SelectionOptions& wanted) {
  const int ways =
      (wanted.ids.empty() ? 0 : 1) + (wanted.domain.empty() ? 0 : 1) + (wanted.all ? 1 : 0);
  if (ways != 1) {
    complain("say what to retry: message ids, --domain DOMAIN or --all, one of them");
    return kUsage;
  }
  std::vector<control::Request> requests;
  for (const std::string& text : wanted.ids) {
    const auto id = parsed_id(text);
    if (!id) {
      return kUsage;
    }
    requests.emplace_back(control::QueueRetry{id, ""});
  }
  if (wanted.ids.empty()) {
    requests.emplace_back(control::QueueRetry{std::nullopt, wanted.domain});
  }
  return carry_out(options, requests, "Due now:");
}

int remove(const CommonOptions& options, const SelectionOptions& wanted) {
  std::vector<control::Request> requests;
  for (const std::string& text : wanted.ids) {
    const auto id = parsed_id(text);
    if (!id) {
      return kUsage;
    }
    requests.emplace_back(control::QueueRemove{*id});
  }
  return carry_out(options, requests, "Removed:");
}

void add_list(CLI::App& group, Invocation& invocation) {
  const auto wanted = std::make_shared<ListOptions>();
  CLI::App* const command =
      add_asking_command(group, invocation, "list", "What waits, in order of arrival, and why",
                         [&invocation, wanted] { return list(invocation.common, *wanted); });
  command->add_option("--domain", wanted->domain, "Only recipients in this domain");
  command->add_option("--sender", wanted->sender, "Only senders that contain this text");
  command->add_option("--recipient", wanted->recipient, "Only recipients that contain this text");
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
  const auto to_retry = std::make_shared<SelectionOptions>();
  CLI::App* const retry_command = add_asking_command(
      *group, invocation, "retry", "Try messages now instead of at their next time",
      [&invocation, to_retry] { return retry(invocation.common, *to_retry); });
  retry_command->add_option("id", to_retry->ids, "Message ids");
  retry_command->add_option("--domain", to_retry->domain,
                            "Messages with a recipient in this domain");
  retry_command->add_flag("--all", to_retry->all, "Everything in the queue");
  const auto to_remove = std::make_shared<SelectionOptions>();
  add_asking_command(*group, invocation, "remove",
                     "Remove messages for good, without a notice to the sender",
                     [&invocation, to_remove] { return remove(invocation.common, *to_remove); })
      ->add_option("id", to_remove->ids, "Message ids")
      ->required();
}

}  // namespace relay::cli
