#include <memory>
#include <string>

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"
#include "relay/cli/paging.h"

namespace relay::cli {
namespace {

struct ClientOptions {
  std::string name, reason;
  bool keep_messages = false;
};

/// "12 of 100/h", "12" without a limit.
std::string use(const Json& client, const char* count, const char* limit) {
  const Json& most = client.at(limit);
  return fmt::format("{}{}", number_of(client, count),
                     most.is_null()     ? ""
                     : most.is_string() ? " of " + most.get<std::string>()
                                        : " of " + most.dump());
}

int list(const CommonOptions& options) {
  Daemon daemon(options);
  const auto data = ask_for_list(daemon, "clients", 0, [](const Json& next, std::size_t size) {
    return control::ClientList{size, next.is_string() ? next.get<std::string>() : ""};
  });
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
  }
  const Json& clients = data->at("clients");
  if (clients.empty()) {
    print("No client is connected, has sent anything that counts, or is held.\n");
    return kDone;
  }
  Table table({"CLIENT", "MESSAGES", "RECIPIENTS", "CONNECTIONS", "HELD", "WHY"});
  for (const Json& client : clients) {
    const Json& hold = client["held"];
    table.add({text_of(client, "name"), use(client, "messages", "messages_limit"),
               use(client, "recipients", "recipients_limit"),
               use(client, "connections", "connections_limit"),
               hold.is_null() ? "-" : short_moment(hold["since"], now()),
               hold.is_null() ? "-" : text_of(hold, "reason")});
  }
  print(table.text());
  return kDone;
}

int hold(const CommonOptions& options, const ClientOptions& wanted) {
  const auto data = Daemon(options).ask(control::ClientHoldSet{wanted.name, wanted.reason, {}});
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
  } else {
    print(fmt::format("Held, until `stsrelay clients release`: what {} sends from now on\n",
                      text_of(*data, "name")));
  }
  return kDone;
}

int release(const CommonOptions& options, const ClientOptions& wanted) {
  const auto data =
      Daemon(options).ask(control::ClientRelease{wanted.name, wanted.keep_messages, {}});
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
  }
  print(fmt::format("Released: {}, and {} with {}\n", text_of(*data, "released"),
                    counted(data->at("messages"), "message"),
                    counted(data->at("recipients"), "recipient")));
  return kDone;
}

CLI::App* add_change(CLI::App& group, Invocation& invocation, const char* name,
                     const char* description, const std::shared_ptr<ClientOptions>& wanted,
                     int (*run)(const CommonOptions&, const ClientOptions&)) {
  CLI::App* const command =
      add_asking_command(group, invocation, name, description,
                         [&invocation, wanted, run] { return run(invocation.common, *wanted); });
  command->add_option("name", wanted->name, "The client, as `stsrelay clients` names it")
      ->required();
  return command;
}

}  // namespace

void add_clients(CLI::App& app, Invocation& invocation) {
  CLI::App* const group = add_asking_command(app, invocation, "clients",
                                             "Whom mail comes from: what each has sent of what it "
                                             "may, its connections, whose mail is held",
                                             {});
  group->require_subcommand(0, 1);
  // A subcommand's own comes before that of what holds it.
  group->callback([&invocation, group] {
    if (group->get_subcommands().empty()) {
      invocation.run = [&invocation] { return list(invocation.common); };
    }
  });
  const auto to_hold = std::make_shared<ClientOptions>();
  add_change(*group, invocation, "hold", "Take a client's mail from now on, but hold it", to_hold,
             hold)
      ->add_option("--reason", to_hold->reason, "Why, for whoever looks at it later");
  const auto to_release = std::make_shared<ClientOptions>();
  add_change(*group, invocation, "release",
             "End a client's hold, and let what is held of it be tried", to_release, release)
      ->add_flag("--keep-messages", to_release->keep_messages,
                 "What is held already stays so: for stsrelay queue release or remove");
}

}  // namespace relay::cli
