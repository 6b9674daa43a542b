#include "relay/cli/check_rule.h"

#include <fmt/format.h>

#include "relay/control/timestamp.h"

namespace relay::cli {
namespace {

using delivery::LocalRule;

std::vector<std::string> pattern_texts(const LocalRule& rule) {
  std::vector<std::string> texts;
  for (const sts::MxPattern& pattern : rule.mx) {
    texts.push_back(pattern.text());
  }
  return texts;
}

bool report_only(const LocalRule& rule) {
  return rule.effect == LocalRule::Effect::report_only;
}

}  // namespace

std::string rule_source(const LocalRule& rule) {
  return rule.origin == "override" ? "an override" : fmt::format("the rule {}", rule.origin);
}

std::string rule_demand(const LocalRule& rule) {
  std::string text(conf::name(rule.level));
  if (!rule.mx.empty()) {
    text += fmt::format(", only {}", fmt::join(pattern_texts(rule), ", "));
  }
  if (!rule.fingerprints.empty()) {
    text += fmt::format(" {}", fmt::join(rule.fingerprints, ", "));
  }
  return text + (report_only(rule) ? ", report-only" : "");
}

std::string rule_end(const LocalRule& rule) {
  return (rule.until ? fmt::format(", until {}", conf::to_text(*rule.until)) : "") +
         (rule.reason.empty() ? "" : fmt::format(" ({})", rule.reason));
}

bool says_something(const LocalRule* rule) {
  return rule != nullptr &&
         (rule->purpose != LocalRule::Purpose::default_level || report_only(*rule) ||
          rule->level != delivery::LocalLevel::opportunistic);
}

Json rule_json(const LocalRule* rule) {
  if (rule == nullptr) {
    return nullptr;
  }
  return {{"origin", rule->origin},
          {"purpose", name(rule->purpose)},
          {"level", conf::name(rule->level)},
          {"mx", pattern_texts(*rule)},
          {"fingerprints", rule->fingerprints},
          {"report_only", report_only(*rule)},
          {"until", rule->until ? Json(control::to_rfc3339(*rule->until)) : Json(nullptr)},
          {"reason", rule->reason.empty() ? Json(nullptr) : Json(rule->reason)}};
}

std::string_view name(LocalRule::Purpose purpose) {
  switch (purpose) {
    case LocalRule::Purpose::default_level:
      return "default";
    case LocalRule::Purpose::rule:
      return "rule";
    case LocalRule::Purpose::pin:
      return "pin";
    case LocalRule::Purpose::exemption:
      return "exemption";
  }
  return {};
}

}  // namespace relay::cli
