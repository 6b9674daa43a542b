#include "relay/delivery/reply_rules.h"

#include <algorithm>
#include <cstddef>
#include <string>

#include "relay/smtp/ascii.h"

namespace relay::delivery {
namespace {

bool host_fits(std::string_view pattern, std::string_view name) {
  if (pattern.empty() || pattern == "*" || pattern == name) {
    return true;
  }
  return pattern.starts_with("*.") && name.size() > pattern.size() - 1 &&
         name.ends_with(pattern.substr(1));
}

/// Whether code begins with this, in whole parts: 4.7 is no beginning of 4.71.1.
bool status_fits(std::string_view beginning, std::string_view code) {
  return beginning.empty() || (code.starts_with(beginning) &&
                               (code.size() == beginning.size() || code[beginning.size()] == '.'));
}

/// Whether words stand in the text, from the beginning of one on: "rate" is in "rates", not in
/// "generated". Both in lower case.
bool holds(const std::string& text, const std::string& words) {
  for (std::size_t at = text.find(words); at != std::string::npos; at = text.find(words, at + 1)) {
    if (at == 0 || !smtp::is_alnum(text[at - 1])) {
      return true;
    }
  }
  return false;
}

bool text_fits(std::string_view alternatives, const std::string& text) {
  if (alternatives.empty()) {
    return true;
  }
  const std::string lower = smtp::lower(text);
  while (!alternatives.empty()) {
    const std::string_view words = alternatives.substr(0, alternatives.find('|'));
    alternatives.remove_prefix(std::min(words.size() + 1, alternatives.size()));
    if (!words.empty() && holds(lower, smtp::lower(words))) {
      return true;
    }
  }
  return false;
}

}  // namespace

const conf::ReplyRule* rule_for(const std::vector<conf::ReplyRule>& rules, const Refuser& who,
                                const smtp::Reply& reply) {
  if (reply.severity() < 4) {
    return nullptr;
  }
  const auto found = std::ranges::find_if(rules, [&](const conf::ReplyRule& rule) {
    return (host_fits(rule.host, who.host) || host_fits(rule.host, who.domain)) &&
           std::to_string(reply.code).starts_with(rule.code) &&
           status_fits(rule.status, reply.enhanced_code()) && text_fits(rule.text, reply.text());
  });
  return found == rules.end() ? nullptr : &*found;
}

std::chrono::milliseconds apply(const std::vector<conf::ReplyRule>& rules, const Refuser& who,
                                smtp::RecipientResult& result) {
  using Disposition = smtp::Disposition;
  const bool refused = result.disposition == Disposition::deferred ||
                       result.disposition == Disposition::rejected ||
                       result.disposition == Disposition::not_tried;
  // Too many recipients in one transaction is the transaction's matter.
  const conf::ReplyRule* rule =
      refused && !result.too_many && result.reply ? rule_for(rules, who, *result.reply) : nullptr;
  if (rule == nullptr) {
    return {};
  }
  const auto say = [&](Disposition disposition, char status) {
    if (result.disposition != Disposition::not_tried) {
      result.disposition = disposition;
      result.enhanced_code.front() = status;
    }
  };
  switch (rule->action) {
    case conf::ReplyRule::Action::defer:
      say(Disposition::deferred, '4');
      return {};
    case conf::ReplyRule::Action::slow_down:
      say(Disposition::deferred, '4');
      return rule->wait;
    case conf::ReplyRule::Action::fail:
      say(Disposition::rejected, '5');
      return {};
  }
  return {};
}

}  // namespace relay::delivery
