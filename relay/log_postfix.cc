#include "relay/log_postfix.h"

#include <algorithm>

#include <fmt/format.h>

namespace relay {
namespace {

/// Remote text and log lines stay within what syslog takes.
constexpr std::size_t kMaxText = 512;

/// The fields of one event, made harmless.
class Fields {
 public:
  explicit Fields(const std::vector<LogField>& fields) : fields_(fields) {}

  [[nodiscard]] bool has(std::string_view key) const { return !raw(key).empty(); }
  /// "=<" begins an address in these lines; within a text it must not.
  [[nodiscard]] std::string text(std::string_view key) const {
    std::string shown = printable(raw(key).substr(0, kMaxText));
    for (std::size_t at = 0; (at = shown.find("=<", at)) != std::string::npos;) {
      shown.replace(at, 2, "=\\x3c");
    }
    return shown;
  }
  /// Of one that stands between < and >, or before a comma.
  [[nodiscard]] std::string token(std::string_view key) const {
    std::string shown;
    for (const char c : printable(raw(key).substr(0, kMaxText))) {
      if (c == '<' || c == '>' || c == ',' || c == ' ') {
        shown += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      } else {
        shown += c;
      }
    }
    return shown;
  }
  /// An address; "<>" is the null sender.
  [[nodiscard]] std::string address(std::string_view key) const {
    return raw(key) == "<>" ? std::string{} : token(key);
  }

 private:
  [[nodiscard]] std::string_view raw(std::string_view key) const {
    const auto found = std::ranges::find(fields_, key, &LogField::key);
    return found == fields_.end() ? std::string_view{} : std::string_view(found->value);
  }

  const std::vector<LogField>& fields_;
};

std::string or_else(const std::string& text, std::string_view otherwise) {
  return text.empty() ? std::string(otherwise) : text;
}

/// The words of Postfix 3.11 for what a session came to.
std::string tls_level(const Fields& fields) {
  const std::string tls = fields.text("tls");
  const auto says = [&tls](std::string_view word) { return tls.find(word) != std::string::npos; };
  if (tls.empty()) {
    return {};
  }
  if (tls.starts_with("none")) {
    return "none";
  }
  if (tls.starts_with("failed")) {
    return "may:none";
  }
  if (says("dane-matched")) {
    return "dane";
  }
  return says(" verified") && fields.text("policy_type") == "sts" ? "secure" : "may";
}

std::string relay_of(const Fields& fields) {
  const std::string host = fields.token("host");
  const std::string ip = fields.token("ip");
  if (host.empty() && ip.empty()) {
    return "none";
  }
  const std::string name = or_else(host, ip);
  return ip.empty() ? name
                    : fmt::format("{}[{}]:{}", name, ip, or_else(fields.token("port"), "25"));
}

/// Not what staging did with mail: no reader of Postfix's log knows of that.
bool is_fate(std::string_view result) {
  return result == "delivered" || result == "deferred" || result == "failed" || result == "expired";
}

std::string_view status_of(const std::string& result) {
  return result == "delivered" ? "sent" : result == "deferred" ? "deferred" : "bounced";
}

/// "queue/connection/transfer" with the time before the queue, which is none.
std::string delays_of(const Fields& fields) {
  return "0/" + or_else(fields.token("delays"), "0/0/0");
}

std::string delivery(const Fields& fields, PostfixStyle style) {
  std::string tls;
  if (style.tls == PostfixStyle::TlsField::present) {
    const std::string level = tls_level(fields);
    tls = level.empty() ? "" : fmt::format("tls={}, ", level);
  }
  const std::string_view status = status_of(fields.text("result"));
  const std::string reply = fields.text("reply");
  const bool remote = !reply.empty() && reply.front() >= '0' && reply.front() <= '9';
  const std::string said =
      remote && status != "sent" && fields.has("host")
          ? fmt::format("host {}[{}] said: ", fields.token("host"), fields.token("ip"))
          : std::string{};
  return fmt::format("{}: to=<{}>, relay={}, delay={}, delays={}, {}dsn={}, status={} ({}{})",
                     fields.token("id"), fields.address("to"), relay_of(fields),
                     or_else(fields.token("delay"), "0"), delays_of(fields), tls,
                     or_else(fields.token("dsn"), "4.0.0"), status, said, reply);
}

std::string queued(const Fields& fields, std::string_view sender, std::string_view recipients) {
  return fmt::format("{}: from=<{}>, size={}, nrcpt={} (queue active)", fields.token("id"), sender,
                     or_else(fields.token("size"), "0"), recipients);
}

std::vector<PostfixLine> accepted(const Fields& fields) {
  const std::string user = fields.token("user");
  return {
      {"smtpd", fmt::format("{}: client=unknown[{}]{}", fields.token("id"),
                            or_else(fields.token("client"), "unknown"),
                            user.empty() ? "" : ", sasl_username=" + user)},
      {"qmgr", queued(fields, fields.address("from"), or_else(fields.token("recipients"), "1"))}};
}

std::vector<PostfixLine> notice(const Fields& fields) {
  const std::string kind = fields.text("kind");
  const std::string_view what = kind == "delayed"         ? "sender delay notification"
                                : kind == "relayed"       ? "sender delivery status notification"
                                : kind == "double-bounce" ? "postmaster non-delivery notification"
                                                          : "sender non-delivery notification";
  return {{"bounce", fmt::format("{}: {}: {}", fields.token("about"), what, fields.token("id"))},
          {"qmgr", queued(fields, "", "1")}};
}

std::vector<PostfixLine> rejected(const Fields& fields) {
  if (!fields.has("reply")) {
    return {};
  }
  return {{"smtpd", fmt::format("NOQUEUE: reject: {} from unknown[{}]: {}; from=<{}> to=<{}> "
                                "proto=ESMTP helo=<{}>",
                                or_else(fields.token("stage"), "CONNECT"),
                                or_else(fields.token("client"), "unknown"), fields.text("reply"),
                                fields.address("from"), fields.token("to"), fields.token("helo"))}};
}

}  // namespace

std::vector<PostfixLine> postfix_lines(std::string_view event, const std::vector<LogField>& fields,
                                       PostfixStyle style) {
  const Fields given(fields);
  if (event == "accepted") {
    return accepted(given);
  }
  if (event == "delivery") {
    return is_fate(given.text("result"))
               ? std::vector<PostfixLine>{{"smtp", delivery(given, style)}}
               : std::vector<PostfixLine>{};
  }
  if (event == "notice") {
    return notice(given);
  }
  if (event == "removed") {
    return {{"qmgr", given.token("id") + ": removed"}};
  }
  return event == "rejected" ? rejected(given) : std::vector<PostfixLine>{};
}

}  // namespace relay
