#include "relay/control/exported_message.h"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace relay::control {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;
constexpr std::array<std::string_view, 3> kOrigins{"submitted", "notice", "report"};
constexpr std::array<std::string_view, 3> kPriorities{"high", "normal", "bulk"};
constexpr std::array<std::string_view, 3> kTls{"normal", "required", "optional"};

std::int64_t milliseconds(net::WallTime time) {
  return time.time_since_epoch().count();
}

template <class Enum, std::size_t N>
std::string_view name_in(const std::array<std::string_view, N>& names, Enum value) {
  return names.at(static_cast<std::size_t>(value));
}

Json recipient_json(const spool::Recipient& recipient) {
  return {{"address", recipient.address},
          {"domain", recipient.domain},
          {"notify", recipient.notify},
          {"orcpt", recipient.orcpt},
          {"attempts", recipient.attempts},
          {"next_try_ms", milliseconds(recipient.next_try)},
          {"last_try_ms", milliseconds(recipient.last_try)},
          {"last_result", recipient.last_result}};
}

/// Takes members by name and remembers the first that is not as it should be.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  std::string text(const char* name) {
    const Json* const member = find(name);
    if (member == nullptr || !member->is_string()) {
      return fault(name, std::string());
    }
    return member->get<std::string>();
  }
  /// For a member that came later: "" in what was written before.
  std::string later_text(const char* name) {
    return find(name) == nullptr ? std::string() : text(name);
  }
  std::int64_t number(const char* name, std::int64_t max) {
    const Json* const member = find(name);
    if (member == nullptr || !member->is_number_integer() || member->get<std::int64_t>() < 0 ||
        member->get<std::int64_t>() > max) {
      return fault(name, std::int64_t{0});
    }
    return member->get<std::int64_t>();
  }
  net::WallTime moment(const char* name) {
    constexpr std::int64_t kYear9999 = 253'402'300'799'000;
    return net::WallTime(std::chrono::milliseconds(number(name, kYear9999)));
  }
  bool flag(const char* name) {
    const Json* const member = find(name);
    if (member == nullptr || !member->is_boolean()) {
      return fault(name, false);
    }
    return member->get<bool>();
  }
  template <class Enum, std::size_t N>
  Enum choice(const char* name, const std::array<std::string_view, N>& names) {
    const std::string given = text(name);
    const auto* const found = std::ranges::find(names, given);
    return found == names.end() ? fault(name, Enum{}) : static_cast<Enum>(found - names.begin());
  }
  [[nodiscard]] const std::string& what() const { return fault_; }
  template <class Value>
  Value fault(const char* name, Value value) {
    if (fault_.empty()) {
      fault_ = fmt::format("has no sound \"{}\"", name);
    }
    return value;
  }

 private:
  [[nodiscard]] const Json* find(const char* name) const {
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }

  const Json& object_;
  std::string fault_;
};

spool::Recipient read_recipient(Fields& fields, std::uint32_t index) {
  spool::Recipient recipient;
  recipient.index = index;
  recipient.address = fields.text("address");
  recipient.domain = fields.text("domain");
  recipient.notify = fields.text("notify");
  recipient.orcpt = fields.text("orcpt");
  recipient.attempts = static_cast<int>(fields.number("attempts", 1'000'000'000));
  recipient.next_try = fields.moment("next_try_ms");
  recipient.last_try = fields.moment("last_try_ms");
  recipient.last_result = fields.text("last_result");
  return recipient;
}

ExportedMessage read_message(Fields& fields) {
  ExportedMessage message;
  spool::Envelope& envelope = message.envelope;
  const auto id = spool::MessageId::parse(fields.text("id"));
  envelope.imported_id = id ? *id : fields.fault("id", spool::MessageId(0));
  envelope.origin = fields.choice<spool::Origin>("origin", kOrigins);
  envelope.sender = fields.text("sender");
  envelope.received_at = fields.moment("received_at_ms");
  envelope.expires_at = fields.moment("expires_at_ms");
  envelope.life_from = fields.moment("life_from_ms");
  envelope.size = static_cast<std::uint64_t>(fields.number("size", std::int64_t{1} << 50));
  envelope.eight_bit = fields.flag("eight_bit");
  envelope.smtputf8 = fields.flag("smtputf8");
  envelope.delay_told = fields.flag("delay_told");
  envelope.tls = fields.choice<spool::MessageTls>("tls", kTls);
  envelope.ret = fields.text("ret");
  envelope.envid = fields.text("envid");
  envelope.client_ip = fields.text("client_ip");
  envelope.client_helo = fields.text("client_helo");
  envelope.user = fields.text("user");
  envelope.listener = fields.later_text("listener");
  envelope.priority = fields.choice<spool::Priority>("priority", kPriorities);
  envelope.held = fields.text("held");
  envelope.held_at = fields.moment("held_at_ms");
  message.exported_at = fields.moment("exported_at_ms");
  message.crc = static_cast<std::uint32_t>(fields.number("crc32", 0xffffffff));
  return message;
}

}  // namespace

spool::Envelope ExportedMessage::envelope_at(net::WallTime now) const {
  spool::Envelope entering = envelope;
  // What is held counts its time from the hold on, the time outside of queues included.
  if (entering.held.empty() && now > exported_at) {
    entering.expires_at += now - exported_at;
    entering.life_from += now - exported_at;
  }
  return entering;
}

std::string to_json_text(const ExportedMessage& message) {
  const spool::Envelope& envelope = message.envelope;
  Json json{{"stsrelay_export", kFormat},
            {"id", envelope.id.text()},
            {"exported_at_ms", milliseconds(message.exported_at)},
            {"crc32", message.crc},
            {"size", envelope.size},
            {"origin", name_in(kOrigins, envelope.origin)},
            {"sender", envelope.sender},
            {"received_at_ms", milliseconds(envelope.received_at)},
            {"expires_at_ms", milliseconds(envelope.expires_at)},
            {"life_from_ms", milliseconds(envelope.life_from)},
            {"eight_bit", envelope.eight_bit},
            {"smtputf8", envelope.smtputf8},
            {"delay_told", envelope.delay_told},
            {"tls", name_in(kTls, envelope.tls)},
            {"ret", envelope.ret},
            {"envid", envelope.envid},
            {"client_ip", envelope.client_ip},
            {"client_helo", envelope.client_helo},
            {"user", envelope.user},
            {"listener", envelope.listener},
            {"priority", name_in(kPriorities, envelope.priority)},
            {"held", envelope.held},
            {"held_at_ms", milliseconds(envelope.held_at)},
            {"recipients", Json::array()}};
  for (const spool::Recipient& recipient : envelope.recipients) {
    json["recipients"].push_back(recipient_json(recipient));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Expected<ExportedMessage, std::string> parse_exported(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("stsrelay_export")) {
    return Unexpected<std::string>(std::string("is no message that `queue export` wrote"));
  }
  if (json["stsrelay_export"] != kFormat) {
    return Unexpected<std::string>(std::string("was written by another version of stsrelay"));
  }
  Fields fields(json);
  ExportedMessage message = read_message(fields);
  std::string fault = fields.what();
  const auto recipients = json.find("recipients");
  if (recipients == json.end() || !recipients->is_array() || recipients->empty()) {
    return Unexpected<std::string>(std::string("has no sound \"recipients\""));
  }
  for (const Json& each : *recipients) {
    Fields of_recipient(each.is_object() ? each : json);
    message.envelope.recipients.push_back(read_recipient(
        of_recipient, static_cast<std::uint32_t>(message.envelope.recipients.size())));
    fault = fault.empty() ? of_recipient.what() : fault;
  }
  if (!fault.empty()) {
    return Unexpected<std::string>(std::move(fault));
  }
  return message;
}

}  // namespace relay::control
