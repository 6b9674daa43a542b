#include "relay/control/control_protocol.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "relay/control/request_members.h"
#include "relay/control/timestamp.h"
#include "relay/spool/report.h"

namespace relay::control {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

struct Command {
  std::string_view name;
  Request (*read)(Members&);
};

// One row per request, in the order of the variant.
constexpr std::array<Command, std::variant_size_v<Request>> kCommands{{
    {"queue list", [](Members& members) -> Request { return read_queue_list(members); }},
    {"queue show", [](Members& members) -> Request { return QueueShow{members.id()}; }},
    {"queue change", [](Members& members) -> Request { return read_queue_change(members); }},
    {"queue pause", [](Members& members) -> Request { return read_queue_pause(members); }},
    {"queue resume", [](Members& members) -> Request { return read_queue_resume(members); }},
    {"queue top", [](Members& members) -> Request { return read_queue_top(members); }},
    {"queue why", [](Members& members) -> Request { return QueueWhy{members.id()}; }},
    {"queue import", [](Members& /*members*/) -> Request { return QueueImportRequest{}; }},
    {"client list", [](Members& members) -> Request { return read_client_list(members); }},
    {"client hold", [](Members& members) -> Request { return read_client_hold(members); }},
    {"client release", [](Members& members) -> Request { return read_client_release(members); }},
    {"policy list",
     [](Members& members) -> Request {
       return PolicyList{members.limit(), members.text("after")};
     }},
    {"policy show",
     [](Members& members) -> Request { return PolicyShow{members.required_text("domain")}; }},
    {"policy export",
     [](Members& members) -> Request {
       return PolicyExport{members.limit(), members.text("after")};
     }},
    {"policy refresh",
     [](Members& members) -> Request { return PolicyRefresh{members.required_text("domain")}; }},
    {"policy history",
     [](Members& members) -> Request { return PolicyHistory{members.required_text("domain")}; }},
    {"override list", [](Members& /*members*/) -> Request { return OverrideList{}; }},
    {"override set",
     [](Members& members) -> Request {
       return OverrideSet{members.required_text("domain"),
                          members.text("level"),
                          members.texts("mx"),
                          members.texts("fingerprints"),
                          members.text("until"),
                          members.text("reason"),
                          members.flag("report_only"),
                          {}};
     }},
    {"override remove",
     [](Members& members) -> Request {
       return OverrideRemove{members.required_text("domain"), {}};
     }},
    {"status", [](Members& /*members*/) -> Request { return Status{}; }},
    {"results",
     [](Members& members) -> Request {
       return Results{members.day(), members.limit(),
                      members.number("offset", 0, std::size_t{1} << 40)};
     }},
    {"report list",
     [](Members& members) -> Request {
       return ReportList{members.optional_day(), members.text("domain"), members.flag("all"),
                         members.limit(), members.text("after")};
     }},
    {"report preview",
     [](Members& members) -> Request {
       return ReportPreview{members.day(), members.text("domain")};
     }},
    {"report show",
     [](Members& members) -> Request {
       return ReportShow{members.day(), members.required_text("domain"),
                         members.number("part", 1, spool::kMostParts)};
     }},
    {"report send", [](Members& members) -> Request { return ReportSend{members.text("domain")}; }},
    {"report suppress",
     [](Members& members) -> Request {
       return ReportSuppress{members.text("uri"), members.text("until"), members.text("reason"),
                             members.flag("lift")};
     }},
    {"report bounced",
     [](Members& members) -> Request {
       return ReportBounced{members.required_text("domain"), members.required_text("message_id"),
                            members.text("recipient"), members.text("reason")};
     }},
    {"reload", [](Members& /*members*/) -> Request { return Reload{}; }},
    {"trace",
     [](Members& members) -> Request {
       Trace trace{members.optional_id("id"), members.text("domain"),
                   members.number("seconds", 0, kLongestTrace)};
       if (trace.id.has_value() != trace.domain.empty()) {
         members.fault(R"(name either "id" or "domain")");
       }
       return trace;
     }},
}};

/// Adds the members of each kind of request.
struct Writer {
  Json& json;

  void operator()(const QueueList& request) const { write_members(json, request); }
  void operator()(const QueueShow& request) const { json["id"] = request.id.text(); }
  void operator()(const QueueChange& request) const { write_members(json, request); }
  void operator()(const QueuePause& request) const { write_members(json, request); }
  void operator()(const QueueResume& request) const { write_members(json, request); }
  void operator()(const QueueTop& request) const { write_members(json, request); }
  void operator()(const QueueWhy& request) const { json["id"] = request.id.text(); }
  void operator()(const QueueImportRequest& /*request*/) const {}
  void operator()(const ClientList& request) const { write_members(json, request); }
  void operator()(const ClientHoldSet& request) const { write_members(json, request); }
  void operator()(const ClientRelease& request) const { write_members(json, request); }
  void operator()(const PolicyList& request) const {
    json["limit"] = request.limit;
    put(json, "after", request.after);
  }
  void operator()(const PolicyShow& request) const { json["domain"] = request.domain; }
  void operator()(const PolicyExport& request) const {
    json["limit"] = request.limit;
    put(json, "after", request.after);
  }
  void operator()(const PolicyRefresh& request) const { json["domain"] = request.domain; }
  void operator()(const PolicyHistory& request) const { json["domain"] = request.domain; }
  void operator()(const OverrideList& /*request*/) const {}
  void operator()(const OverrideSet& request) const {
    json["domain"] = request.domain;
    put(json, "level", request.level);
    put(json, "mx", request.mx);
    put(json, "fingerprints", request.fingerprints);
    put(json, "until", request.until);
    put(json, "reason", request.reason);
    if (request.report_only) {
      json["report_only"] = true;
    }
  }
  void operator()(const OverrideRemove& request) const { json["domain"] = request.domain; }
  void operator()(const Status& /*request*/) const {}
  void operator()(const Results& request) const {
    json["day"] = day_text(request.day);
    json["limit"] = request.limit;
    json["offset"] = request.offset;
  }
  void operator()(const ReportList& request) const {
    put(json, "day", request.day ? day_text(*request.day) : "");
    put(json, "domain", request.domain);
    if (request.all) {
      json["all"] = true;
    }
    json["limit"] = request.limit;
    put(json, "after", request.after);
  }
  void operator()(const ReportPreview& request) const {
    json["day"] = day_text(request.day);
    put(json, "domain", request.domain);
  }
  void operator()(const ReportShow& request) const {
    json["day"] = day_text(request.day);
    json["domain"] = request.domain;
    if (request.part != 1) {
      json["part"] = request.part;
    }
  }
  void operator()(const ReportSend& request) const { put(json, "domain", request.domain); }
  void operator()(const ReportSuppress& request) const {
    put(json, "uri", request.uri);
    put(json, "until", request.until);
    put(json, "reason", request.reason);
    if (request.lift) {
      json["lift"] = true;
    }
  }
  void operator()(const ReportBounced& request) const {
    json["domain"] = request.domain;
    json["message_id"] = request.message_id;
    put(json, "recipient", request.recipient);
    put(json, "reason", request.reason);
  }
  void operator()(const Reload& /*request*/) const {}
  void operator()(const Trace& request) const {
    put(json, "id", request.id ? request.id->text() : "");
    put(json, "domain", request.domain);
    if (request.seconds != 0) {
      json["seconds"] = request.seconds;
    }
  }
};

/// Peers may nest JSON as deeply as their line allows; parsing must not follow them.
bool nests_deeply(std::string_view line) {
  return std::ranges::count_if(line, [](char c) { return c == '[' || c == '{'; }) > 100;
}

}  // namespace

Expected<Request, std::string> parse_request(std::string_view line) {
  const Json json = nests_deeply(line) ? Json() : Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("command") || !json["command"].is_string()) {
    return Unexpected<std::string>(
        std::string("a request is one JSON object with a \"command\" on one line"));
  }
  const auto name = json["command"].get<std::string>();
  const auto* const command = std::ranges::find(kCommands, name, &Command::name);
  if (command == kCommands.end()) {
    return Unexpected<std::string>(fmt::format("\"{}\" is no command of this daemon", name));
  }
  Members members(json);
  Request request = command->read(members);
  if (std::string fault = members.take_fault(); !fault.empty()) {
    return Unexpected<std::string>(fmt::format("{}: {}", name, fault));
  }
  return request;
}

std::string to_line(const Request& request) {
  Json json{{"command", kCommands.at(request.index()).name}};
  std::visit(Writer{json}, request);
  return dump(json);
}

void sign(Request& request, std::optional<std::uint32_t> uid) {
  const std::string by = uid ? fmt::format("uid:{}", *uid) : "";
  std::visit(
      [&by](auto& what) {
        if constexpr (requires { what.by; }) {
          what.by = by;
        }
      },
      request);
}

Expected<Response, std::string> parse_response(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("ok") || !json["ok"].is_boolean()) {
    return Unexpected<std::string>(std::string("the answer is no JSON object with \"ok\""));
  }
  Response response;
  if (!json["ok"].get<bool>()) {
    const auto error = json.find("error");
    response.error = error != json.end() && error->is_string() ? error->get<std::string>()
                                                               : "the daemon gave no reason";
    return response;
  }
  if (const auto data = json.find("data"); data != json.end()) {
    response.data = data->dump();
  }
  return response;
}

std::string to_line(const Response& response) {
  if (!response.error.empty()) {
    return dump(Json{{"ok", false}, {"error", response.error}});
  }
  // The data is JSON already; parsing it only to write it again would double the work on long
  // lists.
  return fmt::format("{{\"ok\":true,\"data\":{}}}\n", response.data);
}

std::optional<std::string> LineBuffer::next() {
  const std::size_t end = bytes_.find('\n');
  if (end == std::string::npos || end > max_line_) {
    return std::nullopt;
  }
  std::string line = bytes_.substr(0, end);
  bytes_.erase(0, end + 1);
  if (line.ends_with('\r')) {
    line.pop_back();
  }
  return line;
}

bool LineBuffer::overflowed() const {
  return std::min(bytes_.find('\n'), bytes_.size()) > max_line_;
}

}  // namespace relay::control
