// `stsrelay report list`, `preview`, `show`, `send` and `suppress`: the reports that this relay
// makes.
#include <memory>
#include <string>

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/control_client.h"
#include "relay/cli/output.h"
#include "relay/cli/paging.h"
#include "relay/control/timestamp.h"
#include "relay/spool/report.h"

namespace relay::cli {
namespace {

struct Wanted {
  std::string domain;
  std::string day;
  std::size_t part = 1;
  std::size_t limit = control::kDefaultLimit;
  bool all = false;
};

std::chrono::sys_days today() {
  return std::chrono::floor<std::chrono::days>(now());
}

/// "today", "yesterday" or 2026-03-01; empty: otherwise. Says what is wrong.
Expected<std::chrono::sys_days, int> parsed_day(const std::string& text,
                                                std::chrono::sys_days otherwise) {
  if (text.empty()) {
    return otherwise;
  }
  if (text == "today" || text == "yesterday") {
    return today() - std::chrono::days(text == "today" ? 0 : 1);
  }
  const auto day = control::parse_day(text);
  if (!day) {
    complain(fmt::format("\"{}\" is no day; write today, yesterday or for example 2026-03-01",
                         printable(text)));
    return Unexpected<int>(kUsage);
  }
  return *day;
}

/// "planned", "pending", "delivered, part 2".
std::string state_of(const Json& report) {
  const std::string state = text_of(report, report["outcome"].is_null() ? "state" : "outcome");
  return report["part"] == 1 ? state : fmt::format("{}, part {}", state, number_of(report, "part"));
}

std::string destinations_text(const Json& texts) {
  std::string text;
  for (const Json& each : texts) {
    text += (text.empty() ? "" : " ") + printable(each.get<std::string>());
  }
  return text;
}

std::string result_of(const Json& delivery, net::WallTime time) {
  std::string text = text_of(delivery, "result");
  if (!delivery["next_attempt"].is_null()) {
    text += fmt::format("{}next try {}", text.empty() ? "" : ", ",
                        short_moment(delivery["next_attempt"], time));
  }
  if (!delivery["message"].is_null()) {
    text += fmt::format("{}message {}", text.empty() ? "" : ", ", text_of(delivery, "message"));
  }
  return text;
}

void add_deliveries(Table& table, std::vector<std::string> start, const Json& report,
                    net::WallTime time) {
  for (const Json& delivery : report["deliveries"]) {
    std::vector<std::string> row = std::move(start);
    row.insert(row.end(),
               {text_of(delivery, "stage"), text_of(delivery, "uri"), result_of(delivery, time)});
    start.assign(row.size() - 3, "");
    table.add(std::move(row));
  }
}

std::string note_of(const Json& report, net::WallTime time) {
  return report["due"].is_null() ? text_of(report, "note")
                                 : "due " + short_moment(report["due"], time);
}

enum class Shown { wanted, all };

void print_reports(const Json& data, Shown shown) {
  if (data.at("reports").empty()) {
    print(shown == Shown::all
              ? "No report.\n"
              : "No report; with --all also those that nobody wanted. Today's are made "
                "after midnight (UTC), see `stsrelay report preview`.\n");
    return;
  }
  const net::WallTime time = now();
  Table table({"DAY", "DOMAIN", "REPORT", "DELIVERY", "TO", "RESULT"});
  for (const Json& report : data.at("reports")) {
    std::vector<std::string> row{text_of(report, "day"), text_of(report, "domain"),
                                 state_of(report)};
    if (report["deliveries"].empty()) {
      row.insert(row.end(), {"", "", note_of(report, time)});
      table.add(std::move(row));
    } else {
      add_deliveries(table, std::move(row), report, time);
    }
  }
  print(table.text());
  if (!data.at("next").is_null()) {
    print("There are more, see --limit.\n");
  }
}

int list(const CommonOptions& options, const Wanted& wanted) {
  std::optional<std::chrono::sys_days> day;
  if (!wanted.day.empty()) {
    const auto parsed = parsed_day(wanted.day, {});
    if (!parsed) {
      return parsed.error();
    }
    day = *parsed;
  }
  Daemon daemon(options);
  auto data =
      ask_for_list(daemon, "reports", wanted.limit, [&](const Json& next, std::size_t size) {
        return control::ReportList{day, wanted.domain, wanted.all, size,
                                   next.is_string() ? next.get<std::string>() : ""};
      });
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
  }
  print_reports(*data, wanted.all ? Shown::all : Shown::wanted);
  return kDone;
}

void print_previews(const Json& data) {
  print(fmt::format("What would be reported of {} (UTC)\n", text_of(data, "day")));
  if (data.at("previews").empty()) {
    print("No session was counted.\n");
    return;
  }
  Table table({"DOMAIN", "SUCCEEDED", "FAILED", "TO", "WITHHELD"});
  for (const Json& preview : data.at("previews")) {
    table.add({text_of(preview, "domain"), number_of(preview, "successful_sessions"),
               number_of(preview, "failed_sessions"), destinations_text(preview["destinations"]),
               text_of(preview, "withheld")});
  }
  print(table.text());
  if (data.at("previews").size() < data.at("domains").get<std::size_t>()) {
    print(fmt::format("{} domains in all; name one to see its report.\n",
                      number_of(data, "domains")));
  }
}

void print_document(const Json& data) {
  print(data.at("summary").get<std::string>());
  print("\n" + data.at("json").dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

int preview(const CommonOptions& options, const Wanted& wanted) {
  const auto day = parsed_day(wanted.day, today());
  if (!day) {
    return day.error();
  }
  const auto data = Daemon(options).ask(control::ReportPreview{*day, wanted.domain});
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
  } else if (wanted.domain.empty()) {
    print_previews(*data);
  } else {
    const std::string withheld = text_of(*data, "withheld");
    const std::string to = destinations_text(data->at("destinations"));
    print(withheld.empty() ? fmt::format("To: {}\n\n", to)
                           : fmt::format("It would not be sent: {}\n\n", withheld));
    print_document(*data);
  }
  return kDone;
}

int show(const CommonOptions& options, const Wanted& wanted) {
  const auto day = parsed_day(wanted.day, today() - std::chrono::days(1));
  if (!day) {
    return day.error();
  }
  const auto data = Daemon(options).ask(control::ReportShow{*day, wanted.domain, wanted.part});
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
  }
  const net::WallTime time = now();
  print(fmt::format("{} {}: {} {}\n", text_of(*data, "day"), text_of(*data, "domain"),
                    state_of(*data), note_of(*data, time)));
  if (!data->at("deliveries").empty()) {
    Table table({"DELIVERY", "TO", "RESULT"});
    add_deliveries(table, {}, *data, time);
    print(table.text());
  }
  if (!data->at("json").is_null()) {
    print("\n");
    print_document(*data);
  }
  return kDone;
}

int send(const CommonOptions& options, const Wanted& wanted) {
  const auto data = Daemon(options).ask(control::ReportSend{wanted.domain});
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
  } else {
    print(
        fmt::format("Due now: the reports of closed days {}; `stsrelay report list` shows what "
                    "becomes of them.\n",
                    wanted.domain.empty() ? "for all domains" : "for " + wanted.domain));
  }
  return kDone;
}

int suppress(const CommonOptions& options, const control::ReportSuppress& request) {
  if (request.uri.empty() && (request.lift || !request.until.empty() || !request.reason.empty())) {
    complain("which DESTINATION?");
    return kUsage;
  }
  const auto data = Daemon(options).ask(request);
  if (!data) {
    return data.error();
  }
  if (options.json) {
    print_json(*data);
    return kDone;
  }
  const net::WallTime time = now();
  if (request.lift) {
    print(fmt::format("Reports are sent again to {}\n", text_of(*data, "lifted")));
  } else if (!request.uri.empty()) {
    print(fmt::format("Nothing is sent to {} until {}\n", text_of(*data, "uri"),
                      moment(data->at("until"), time)));
  } else if (data->at("suppressions").empty()) {
    print("No destination is suppressed.\n");
  } else {
    Table table({"DESTINATION", "UNTIL", "WHY"});
    for (const Json& each : data->at("suppressions")) {
      table.add({text_of(each, "uri"), short_moment(each["until"], time), text_of(each, "why")});
    }
    print(table.text());
  }
  return kDone;
}

void add_day(CLI::App& command, Wanted& wanted, const std::string& otherwise) {
  command.add_option("--day", wanted.day, "UTC day, today or yesterday; " + otherwise)
      ->type_name("YYYY-MM-DD");
}

void add_suppress(CLI::App& group, Invocation& invocation) {
  const auto request = std::make_shared<control::ReportSuppress>();
  CLI::App* const command = add_asking_command(
      group, invocation, "suppress",
      "Send nothing to a destination for a while, as is done by itself for those that refuse a "
      "report; without a DESTINATION: list them",
      [&invocation, request] { return suppress(invocation.common, *request); });
  command->add_option("destination", request->uri, "tls@example.com, mailto:… or https://…");
  command->add_option("--until", request->until, "2026-12-31 or 2026-12-31T12:00:00Z; 30 days")
      ->type_name("DATE");
  command->add_option("--reason", request->reason, "For who wonders later")->type_name("TEXT");
  command->add_flag("--lift", request->lift, "Send to it again");
}

}  // namespace

void add_report_sending(CLI::App& report, Invocation& invocation) {
  const auto add = [&](const char* name, const char* description,
                       int (*run)(const CommonOptions&, const Wanted&)) {
    const auto wanted = std::make_shared<Wanted>();
    CLI::App* const command =
        add_asking_command(report, invocation, name, description,
                           [&invocation, wanted, run] { return run(invocation.common, *wanted); });
    return std::pair(command, wanted);
  };
  const auto [listing, of_list] =
      add("list", "Reports made or planned, and their deliveries", list);
  add_day(*listing, *of_list, "all days if not given");
  listing->add_option("--domain", of_list->domain, "Only of this policy domain");
  listing->add_option("--limit", of_list->limit, "At most so many; 0: all")->capture_default_str();
  listing->add_flag("--all", of_list->all, "Also those that nobody wanted");

  const auto [previewing, of_preview] =
      add("preview", "What a day's report would be now, without sending it", preview);
  add_day(*previewing, *of_preview, "today if not given");
  previewing->add_option("domain", of_preview->domain, "Policy domain; all in short if not given");

  const auto [showing, of_show] = add("show", "A report as it was made and sent", show);
  add_day(*showing, *of_show, "yesterday if not given");
  showing->add_option("domain", of_show->domain, "Policy domain")->required();
  showing
      ->add_option("--part", of_show->part,
                   "Of a day that got further parts, for what was counted late")
      ->check(CLI::Range(1, spool::kMostParts))
      ->capture_default_str();

  const auto [sending, of_send] =
      add("send", "Send the reports of closed days now, not at their moment", send);
  sending->add_option("domain", of_send->domain, "Policy domain; all if not given");
  add_suppress(report, invocation);
}

}  // namespace relay::cli
