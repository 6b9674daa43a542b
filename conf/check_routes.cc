// Routes that contradict themselves, are never reached, or would show credentials to strangers.
#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "conf/check.h"
#include "conf/names.h"

namespace conf {
namespace {

/// Whether a pattern for earlier leaves nothing of later.
bool covers(std::string_view earlier, std::string_view later) {
  return earlier == "*" || earlier == later ||
         (earlier.starts_with("*.") && later.ends_with(earlier.substr(1)));
}

bool covers_sender(std::string_view earlier, std::string_view later) {
  if (earlier.empty() || earlier == later) {
    return true;
  }
  // An address is one sender; a domain is each of its addresses.
  const std::size_t at = later.rfind('@');
  return !later.empty() && earlier.find('@') == std::string_view::npos &&
         covers(earlier, at == std::string_view::npos ? later : later.substr(at + 1));
}

std::string_view domains_of(const Route& route) {
  return route.match.empty() ? std::string_view("*") : std::string_view(route.match);
}

bool covers(const Route& earlier, const Route& later) {
  return covers(domains_of(earlier), domains_of(later)) &&
         covers_sender(earlier.sender, later.sender) &&
         (earlier.listener.empty() || earlier.listener == later.listener);
}

/// The key that says what the route is for.
std::string_view main_key(const Route& route) {
  return !route.match.empty() ? "match" : !route.sender.empty() ? "sender" : "listener";
}

void check_password(const UpstreamAuth& auth, const std::string& path, Findings& findings) {
  if (auth.user.empty()) {
    findings.fail(path + ".user", "is not given; name the account at the upstream");
  }
  if (auth.password_file.empty() != auth.oauth2.has_value()) {
    findings.fail(path, "needs exactly one of password_file and oauth2");
  }
  if (!auth.oauth2) {
    return;
  }
  const OAuth2& oauth2 = *auth.oauth2;
  const std::array<std::pair<std::string_view, const std::string*>, 3> needed{
      {{"token_url", &oauth2.token_url},
       {"client_id", &oauth2.client_id},
       {"client_secret_file", &oauth2.client_secret_file}}};
  for (const auto& [key, value] : needed) {
    if (value->empty()) {
      findings.fail(path + ".oauth2",
                    fmt::format("has no {}; the provider's page about client credentials (RFC 6749 "
                                "section 4.4) says which",
                                key));
    }
  }
}

void check_auth(const Upstream& upstream, const std::string& path, Findings& findings) {
  const UpstreamAuth& auth = *upstream.auth;
  check_password(auth, path + ".auth", findings);
  if (auth.send_over == UpstreamAuth::SendOver::verified && !is_domain_name(upstream.host)) {
    findings.fail(path + ".host",
                  fmt::format("{} is an address, whose certificate proves no name, and credentials "
                              "are sent to a verified host only; write its name, or say in "
                              "auth.send_over what else will do",
                              upstream.host));
  }
  if (upstream.level == TlsLevel::none && auth.send_over != UpstreamAuth::SendOver::plaintext) {
    findings.fail(path + ".level",
                  "is none, but credentials would then go in plaintext; remove it, or set "
                  "auth.send_over: plaintext if everybody on the way may read them");
  }
}

void check_upstream(const Upstream& upstream, const std::string& path, Findings& findings) {
  if (upstream.host.empty()) {
    findings.fail(path + ".host", "is not given; write the upstream's name");
    return;
  }
  if (upstream.level == TlsLevel::none && upstream.effective_tls() == Upstream::Tls::implicit) {
    findings.fail(path + ".level", "is none, but tls is implicit; remove one of the two");
  }
  if (upstream.auth) {
    check_auth(upstream, path, findings);
  }
}

void check_route(const Route& route, const std::string& path, Findings& findings) {
  if (route.title().empty()) {
    findings.fail(path,
                  "has neither match nor sender nor listener; write for example match: "
                  "example.com, or match: \"*\" for all mail");
  }
  if ((route.mx.empty() ? 0 : 1) + (route.host.empty() ? 0 : 1) +
          (route.upstreams.empty() ? 0 : 1) !=
      1) {
    findings.fail(path,
                  "needs exactly one of mx (a domain whose MX records name the hosts), host (one "
                  "host, no MX lookup) and upstreams (hosts with ports, TLS and credentials)");
  }
  for (std::size_t i = 0; i < route.upstreams.size(); ++i) {
    check_upstream(route.upstreams[i], fmt::format("{}.upstreams[{}]", path, i), findings);
  }
}

/// A route by a listener that is not there would leave its mail to other routes, unnoticed.
void check_listener(const Route& route, const std::vector<Listener>& listen,
                    const std::string& path, Findings& findings) {
  const auto is_named = [&route](const Listener& listener) {
    return listener.address.text() == route.listener;
  };
  if (route.listener.empty() || listen.empty() || std::ranges::any_of(listen, is_named)) {
    return;
  }
  std::vector<std::string> known;
  known.reserve(listen.size());
  for (const Listener& listener : listen) {
    known.push_back(listener.address.text());
  }
  findings.fail(path + ".listener",
                fmt::format("\"{}\" is no listener of this file; write one of those in listen: {}",
                            route.listener, fmt::join(known, ", ")));
}

/// One account has one set of credentials, whichever route it stands in.
void check_accounts(const std::vector<Route>& routes, Findings& findings) {
  std::map<std::tuple<std::string, std::uint16_t, std::string>, const UpstreamAuth*> known;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    for (std::size_t j = 0; j < routes[i].upstreams.size(); ++j) {
      const Upstream& upstream = routes[i].upstreams[j];
      if (!upstream.auth) {
        continue;
      }
      const auto [first, added] =
          known.try_emplace({upstream.host, upstream.port, upstream.auth->user}, &*upstream.auth);
      if (!added && *first->second != *upstream.auth) {
        findings.fail(fmt::format("routes[{}].upstreams[{}].auth", i, j),
                      fmt::format("differs from what another route says of the account {} at {}; "
                                  "write the same in both",
                                  upstream.auth->user, upstream.host));
      }
    }
  }
}

}  // namespace

void check_routes(const Config& config, Findings& findings) {
  const std::vector<Route>& routes = config.routes;
  check_accounts(routes, findings);
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const Route& route = routes[i];
    const std::string path = fmt::format("routes[{}]", i);
    check_route(route, path, findings);
    check_listener(route, config.listen, path, findings);
    const auto end = routes.begin() + static_cast<std::ptrdiff_t>(i);
    const auto covering = std::find_if(
        routes.begin(), end, [&route](const Route& earlier) { return covers(earlier, route); });
    if (covering != end) {
      findings.fail(fmt::format("{}.{}", path, main_key(route)),
                    fmt::format("\"{}\" is never reached: the earlier route for \"{}\" matches all "
                                "of it; put this one first or remove it",
                                route.title(), covering->title()));
    }
  }
}

}  // namespace conf
