// Takes the members of one request by name and remembers the first thing that was wrong.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "relay/control/queue_requests.h"
#include "relay/control/timestamp.h"
#include "relay/spool/message.h"

namespace relay::control {

class Members {
 public:
  using Json = nlohmann::ordered_json;

  explicit Members(const Json& object) : object_(object) {}

  std::string text(const char* name) {
    const Json* const member = find(name);
    if (member == nullptr) {
      return {};
    }
    if (!member->is_string()) {
      fault(fmt::format("\"{}\" must be a text", name));
      return {};
    }
    return member->get<std::string>();
  }
  std::vector<std::string> texts(const char* name) {
    const Json* const member = find(name);
    std::vector<std::string> list;
    if (member == nullptr) {
      return list;
    }
    const auto is_text = [](const Json& item) { return item.is_string(); };
    if (!member->is_array() || !std::ranges::all_of(*member, is_text)) {
      fault(fmt::format("\"{}\" must be a list of texts", name));
      return list;
    }
    for (const Json& item : *member) {
      list.push_back(item.get<std::string>());
    }
    return list;
  }
  bool flag(const char* name) {
    const Json* const member = find(name);
    if (member != nullptr && !member->is_boolean()) {
      fault(fmt::format("\"{}\" must be true or false", name));
    }
    return member != nullptr && member->is_boolean() && member->get<bool>();
  }
  std::size_t number(const char* name, std::size_t otherwise, std::size_t max) {
    const Json* const member = find(name);
    if (member == nullptr) {
      return otherwise;
    }
    if (!member->is_number_unsigned() || member->get<std::uint64_t>() > max) {
      fault(fmt::format("\"{}\" must be a whole number up to {}", name, max));
      return otherwise;
    }
    return member->get<std::size_t>();
  }
  std::size_t limit() {
    const std::size_t limit = number("limit", kDefaultLimit, kMaxLimit);
    if (limit == 0) {
      fault("\"limit\" must not be 0");
    }
    return limit;
  }
  std::optional<spool::MessageId> optional_id(const char* name) {
    const std::string given = text(name);
    if (given.empty()) {
      return std::nullopt;
    }
    const auto id = spool::MessageId::parse(given);
    if (!id) {
      fault(fmt::format("\"{}\" is no message id; `stsrelay queue list` shows them", given));
    }
    return id;
  }
  std::vector<spool::MessageId> ids(const char* name) {
    std::vector<spool::MessageId> list;
    for (const std::string& given : texts(name)) {
      const auto id = spool::MessageId::parse(given);
      if (!id) {
        fault(fmt::format("\"{}\" is no message id; `stsrelay queue list` shows them", given));
        continue;
      }
      list.push_back(*id);
    }
    return list;
  }
  std::chrono::seconds seconds(const char* name) {
    // A hundred years.
    return std::chrono::seconds(number(name, 0, std::size_t{3'153'600'000}));
  }
  spool::MessageId id() {
    const auto id = optional_id("id");
    if (!id) {
      fault("\"id\" is missing");
    }
    return id.value_or(spool::MessageId(0));
  }
  std::string required_text(const char* name) {
    std::string given = text(name);
    if (given.empty()) {
      fault(fmt::format("\"{}\" is missing", name));
    }
    return given;
  }
  std::optional<std::chrono::sys_days> optional_day() {
    const std::string given = text("day");
    const auto day = parse_day(given);
    if (!day && !given.empty()) {
      fault(fmt::format("\"{}\" is no day; write for example 2026-03-01", given));
    }
    return day;
  }
  std::chrono::sys_days day() {
    const auto day = optional_day();
    if (!day) {
      fault("\"day\" is missing");
    }
    return day.value_or(std::chrono::sys_days());
  }
  void fault(std::string sentence) {
    if (fault_.empty()) {
      fault_ = std::move(sentence);
    }
  }
  /// Also counts members that nobody asked for as a fault.
  std::string take_fault() {
    for (const auto& member : object_.items()) {
      if (member.key() != "command" && !asked_.contains(member.key())) {
        fault(fmt::format("\"{}\" is no member of this request", member.key()));
      }
    }
    return std::move(fault_);
  }

 private:
  const Json* find(const char* name) {
    asked_.insert(name);
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }

  const Json& object_;
  std::set<std::string, std::less<>> asked_;
  std::string fault_;
};

void put(nlohmann::ordered_json& json, const char* name, const std::string& text);
void put(nlohmann::ordered_json& json, const char* name, const std::vector<std::string>& texts);

[[nodiscard]] QueueList read_queue_list(Members& members);
[[nodiscard]] QueueChange read_queue_change(Members& members);
[[nodiscard]] QueuePause read_queue_pause(Members& members);
[[nodiscard]] QueueResume read_queue_resume(Members& members);
[[nodiscard]] ClientList read_client_list(Members& members);
[[nodiscard]] ClientHoldSet read_client_hold(Members& members);
[[nodiscard]] ClientRelease read_client_release(Members& members);
[[nodiscard]] QueueTop read_queue_top(Members& members);

void write_members(nlohmann::ordered_json& json, const QueueList& request);
void write_members(nlohmann::ordered_json& json, const QueueChange& request);
void write_members(nlohmann::ordered_json& json, const QueuePause& request);
void write_members(nlohmann::ordered_json& json, const QueueResume& request);
void write_members(nlohmann::ordered_json& json, const ClientList& request);
void write_members(nlohmann::ordered_json& json, const ClientHoldSet& request);
void write_members(nlohmann::ordered_json& json, const ClientRelease& request);
void write_members(nlohmann::ordered_json& json, const QueueTop& request);

}  // namespace relay::control
