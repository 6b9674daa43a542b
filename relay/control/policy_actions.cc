// The control actions about policies.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "relay/control/answers.h"
#include "relay/control/control_actions.h"
#include "relay/control/views.h"

namespace relay::control {
namespace {

constexpr std::size_t kReadStep = 250;  // policies read at once

/// A page of stored policies, each as view shows it.
template <class View>
Response policy_page(spool::SpoolReader& reader, std::size_t limit, std::string after, View view) {
  Page page(limit);
  while (true) {
    const auto policies = reader.policies(after, kReadStep);
    if (!policies) {
      return refuse(policies.error());
    }
    for (const auto& policy : *policies) {
      if (page.full()) {
        return page.respond("policies", after);
      }
      page.add(view(*policy));
      after = policy->domain;
    }
    if (policies->empty()) {
      return page.respond("policies", nullptr);
    }
  }
}

Response no_policy(const std::string& domain) {
  return refuse(fmt::format(
      "no policy of {} in the cache; it has none, or no mail went there since it expired", domain));
}

}  // namespace

Response ControlActions::list_policies(const PolicyList& request) {
  return policy_page(reader_, request.limit, request.after, [this](const sts::CachedPolicy& each) {
    return policy_summary(each, clock_.wall());
  });
}

Response ControlActions::export_policies(const PolicyExport& request) {
  return policy_page(reader_, request.limit, request.after, [this](const sts::CachedPolicy& each) {
    return policy_details(each, clock_.wall());
  });
}

void ControlActions::show_policy(const std::string& domain, Respond respond) {
  const auto name = net::DomainName::parse(domain);
  if (!name) {
    return respond(no_policy(canonical_domain(domain)));
  }
  const auto stored = reader_.policy(name->text());
  if (!stored) {
    return respond(refuse(stored.error()));
  }
  daemon_.policy_state(*name, [name = *name, stored = *stored, now = clock_.wall(),
                               respond = std::move(respond)](const delivery::PolicyState& state) {
    // In memory it is there even if the disk had no room for it.
    const auto& policy = state.policy != nullptr ? state.policy : stored;
    if (policy == nullptr) {
      return respond(no_policy(name.text()));
    }
    Json json = policy_details(*policy, now);
    json.update(policy_state_view(state));
    respond(answer(json));
  });
}

void ControlActions::refresh_policy(const std::string& domain, Respond respond) const {
  const auto name = net::DomainName::parse(domain);
  if (!name) {
    return respond(refuse(fmt::format("\"{}\" is no domain name", domain)));
  }
  daemon_.refresh_policy(*name, [name = *name, now = clock_.wall(),
                                 respond = std::move(respond)](const sts::PolicyVerdict& verdict) {
    respond(answer(refresh_view(name.text(), verdict, now)));
  });
}

Response ControlActions::policy_history(const std::string& domain) {
  const std::string name = canonical_domain(domain);
  const auto history = reader_.policy_history(name);
  if (!history) {
    return refuse(history.error());
  }
  Json json{{"domain", name}, {"replaced", Json::array()}};
  for (const spool::ReplacedPolicy& replaced : *history) {
    json["replaced"].push_back(replaced_policy_view(replaced));
  }
  return answer(json);
}

}  // namespace relay::control
