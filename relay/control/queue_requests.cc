#include "relay/control/queue_requests.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "relay/control/request_members.h"

namespace relay::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<std::string_view, 6> kActions{"hold",    "release", "retry",
                                                   "requeue", "bounce",  "remove"};
constexpr std::array<std::string_view, 3> kPauseKinds{"everything", "domain", "route"};

QueueFilter read_filter(Members& members) {
  QueueFilter filter;
  filter.domain = members.text("domain");
  filter.sender = members.text("sender");
  filter.recipient = members.text("recipient");
  filter.older_than = members.seconds("older_than");
  filter.newer_than = members.seconds("newer_than");
  filter.held = members.flag("held");
  filter.held_for = members.text("held_for");
  return filter;
}

void put_flag(Json& json, const char* name, bool value) {
  if (value) {
    json[name] = true;
  }
}

void put_filter(Json& json, const QueueFilter& filter) {
  put(json, "domain", filter.domain);
  put(json, "sender", filter.sender);
  put(json, "recipient", filter.recipient);
  for (const auto& [name, age] :
       {std::pair{"older_than", filter.older_than}, std::pair{"newer_than", filter.newer_than}}) {
    if (age.count() > 0) {
      json[name] = age.count();
    }
  }
  put_flag(json, "held", filter.held);
  put(json, "held_for", filter.held_for);
}

/// Which of the names a member has; the first one if it has none of them, which is a fault.
template <std::size_t N>
std::size_t choice(Members& members, const char* name,
                   const std::array<std::string_view, N>& names) {
  const std::string given = members.required_text(name);
  const auto* const found = std::ranges::find(names, given);
  if (found == names.end()) {
    members.fault(fmt::format("\"{}\" is none of {}", given, fmt::join(names, ", ")));
    return 0;
  }
  return static_cast<std::size_t>(found - names.begin());
}

/// What a pause is of; only everything has no name.
template <class Request>
void read_subject(Members& members, Request& request) {
  request.kind = static_cast<spool::Pause::Kind>(choice(members, "kind", kPauseKinds));
  request.name = members.text("name");
  const bool needs_name = request.kind != spool::Pause::Kind::everything;
  if (needs_name == request.name.empty()) {
    members.fault(needs_name ? "\"name\" is missing" : "everything has no \"name\"");
  }
}

}  // namespace

bool QueueFilter::empty() const {
  return domain.empty() && sender.empty() && recipient.empty() && older_than.count() == 0 &&
         newer_than.count() == 0 && !held && held_for.empty() && held_client.empty();
}

std::string import_folder(const std::string& queue_path) {
  return queue_path + "/import";
}

std::string_view name(QueueAction action) {
  return kActions.at(static_cast<std::size_t>(action));
}

void put(Json& json, const char* name, const std::string& text) {
  if (!text.empty()) {
    json[name] = text;
  }
}

void put(Json& json, const char* name, const std::vector<std::string>& texts) {
  if (!texts.empty()) {
    json[name] = texts;
  }
}

QueueList read_queue_list(Members& members) {
  QueueList list;
  list.filter = read_filter(members);
  list.limit = members.limit();
  list.after = members.optional_id("after");
  return list;
}

QueueChange read_queue_change(Members& members) {
  QueueChange change;
  change.action = static_cast<QueueAction>(choice(members, "action", kActions));
  change.ids = members.ids("ids");
  change.filter = read_filter(members);
  change.all = members.flag("all");
  change.dry_run = members.flag("dry_run");
  change.reason = members.text("reason");
  if (change.ids.empty() && change.filter.empty() && !change.all) {
    members.fault(R"(say which messages: "ids", a filter, or "all")");
  }
  if (change.all && !(change.ids.empty() && change.filter.empty())) {
    members.fault(R"("all" goes with neither "ids" nor a filter)");
  }
  return change;
}

QueuePause read_queue_pause(Members& members) {
  QueuePause pause;
  read_subject(members, pause);
  pause.reason = members.text("reason");
  return pause;
}

QueueResume read_queue_resume(Members& members) {
  QueueResume resume;
  read_subject(members, resume);
  return resume;
}

ClientList read_client_list(Members& members) {
  return {members.limit(), members.text("after")};
}

ClientHoldSet read_client_hold(Members& members) {
  return {members.required_text("name"), members.text("reason"), {}};
}

ClientRelease read_client_release(Members& members) {
  return {members.required_text("name"), members.flag("keep_messages"), {}};
}

QueueTop read_queue_top(Members& members) {
  return {members.flag("by_sender"), members.number("limit", 20, kMaxLimit)};
}

void write_members(Json& json, const QueueList& request) {
  put_filter(json, request.filter);
  json["limit"] = request.limit;
  put(json, "after", request.after ? request.after->text() : "");
}

void write_members(Json& json, const QueueChange& request) {
  json["action"] = name(request.action);
  std::vector<std::string> ids;
  ids.reserve(request.ids.size());
  for (const spool::MessageId id : request.ids) {
    ids.push_back(id.text());
  }
  put(json, "ids", ids);
  put_filter(json, request.filter);
  put_flag(json, "all", request.all);
  put_flag(json, "dry_run", request.dry_run);
  put(json, "reason", request.reason);
}

void write_members(Json& json, const QueuePause& request) {
  json["kind"] = kPauseKinds.at(static_cast<std::size_t>(request.kind));
  put(json, "name", request.name);
  put(json, "reason", request.reason);
}

void write_members(Json& json, const QueueResume& request) {
  json["kind"] = kPauseKinds.at(static_cast<std::size_t>(request.kind));
  put(json, "name", request.name);
}

void write_members(Json& json, const ClientList& request) {
  json["limit"] = request.limit;
  put(json, "after", request.after);
}

void write_members(Json& json, const ClientHoldSet& request) {
  json["name"] = request.name;
  put(json, "reason", request.reason);
}

void write_members(Json& json, const ClientRelease& request) {
  json["name"] = request.name;
  put_flag(json, "keep_messages", request.keep_messages);
}

void write_members(Json& json, const QueueTop& request) {
  put_flag(json, "by_sender", request.by_sender);
  json["limit"] = request.limit;
}

}  // namespace relay::control
