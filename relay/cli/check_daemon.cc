#include "relay/cli/check_daemon.h"

#include <chrono>
#include <utility>

#include "relay/cli/control_client.h"
#include "relay/cli/output.h"
#include "relay/control/overrides.h"
#include "relay/control/timestamp.h"

namespace relay::cli {
namespace {

constexpr std::chrono::seconds kPatience{5};

Expected<control::Response, std::string> ask(const std::string& socket,
                                             const control::Request& request) {
  auto client = ControlClient::connect(socket, kPatience);
  if (!client) {
    return Unexpected<std::string>(client.error());
  }
  return (*client)->ask(request);
}

/// As the daemon lists it, as if it were set now.
control::OverrideSet as_set(const Json& listed) {
  control::OverrideSet set;
  set.domain = listed.at("domain").get<std::string>();
  set.level = listed.at("level").get<std::string>();
  set.mx = listed.at("mx").get<std::vector<std::string>>();
  set.fingerprints = listed.at("fingerprints").get<std::vector<std::string>>();
  set.until = listed.at("until").is_null() ? "" : listed.at("until").get<std::string>();
  set.reason = listed.at("reason").get<std::string>();
  set.report_only = listed.at("report_only").get<bool>();
  set.by = listed.at("by").get<std::string>();
  return set;
}

/// The policy as the daemon shows it; null if it is over.
std::shared_ptr<const sts::CachedPolicy> in_force(const std::string& domain, const Json& shown) {
  const auto fetched_at = control::parse_rfc3339(shown.at("fetched_at").get<std::string>());
  const auto expires_at = control::parse_rfc3339(shown.at("expires_at").get<std::string>());
  auto parsed =
      sts::parse_policy(shown.at("body").get<std::string>(), sts::Strictness::tolerant, to_ascii);
  if (!fetched_at || !expires_at || *expires_at <= now() || !parsed.policy) {
    return nullptr;
  }
  return std::make_shared<const sts::CachedPolicy>(
      sts::CachedPolicy{domain, shown.at("id").get<std::string>(), std::move(*parsed.policy),
                        *fetched_at, *expires_at});
}

}  // namespace

Expected<std::vector<spool::PolicyOverride>, std::string> daemon_overrides(
    const std::string& socket) {
  const auto response = ask(socket, control::OverrideList{});
  if (!response || !response->error.empty()) {
    return Unexpected<std::string>(response ? response->error : response.error());
  }
  const net::WallTime time = now();
  std::vector<spool::PolicyOverride> overrides;
  const Json data = Json::parse(response->data);
  for (const Json& listed : data.at("overrides")) {
    if (listed.at("over").get<bool>()) {
      continue;
    }
    auto rule = control::to_override(as_set(listed), time);
    if (!rule) {
      return Unexpected<std::string>("the daemon's override is not understood: " + rule.error());
    }
    overrides.push_back(std::move(*rule));
  }
  return overrides;
}

DaemonCache daemon_cache(const std::string& socket, const std::string& domain) {
  using State = DaemonCache::State;
  const auto response = ask(socket, control::PolicyShow{domain});
  if (!response) {
    return {State::unreachable, response.error(), {}, {}, {}, {}, {}};
  }
  if (!response->error.empty()) {
    return {State::absent, response->error, {}, {}, {}, {}, {}};
  }
  const Json data = Json::parse(response->data);
  return {State::held,
          {},
          data.at("mode").get<std::string>(),
          data.at("id").get<std::string>(),
          data.at("fetched_at").get<std::string>(),
          data.at("expires_at").get<std::string>(),
          in_force(domain, data)};
}

}  // namespace relay::cli
