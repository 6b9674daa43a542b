#include "conf/check.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

namespace conf {
namespace {

/// Addresses from first to last: an IPv4 address, or the upper half of an IPv6 address.
struct Range {
  std::uint64_t first, last;
};

Range range_of(const Network& network) {
  const int width = network.is_v6() ? 64 : 32;
  std::uint64_t first = 0;
  for (int octet = 0; octet < width / 8; ++octet) {
    first = (first << 8) | network.bits().at(static_cast<std::size_t>(octet));
  }
  const int free_bits = std::max(width - network.prefix(), 0);
  const std::uint64_t size_less_one =
      free_bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << free_bits) - 1;
  return {first, first | size_less_one};
}

/// How many addresses the networks of one family hold together, at most 2^64 - 1.
std::uint64_t covered(const std::vector<Network>& networks, bool v6) {
  std::vector<Range> ranges;
  for (const Network& network : networks) {
    if (network.is_v6() == v6) {
      ranges.push_back(range_of(network));
    }
  }
  std::ranges::sort(ranges, {}, &Range::first);
  std::uint64_t sum = 0;
  std::optional<std::uint64_t> seen;  // the highest address counted
  for (const Range& range : ranges) {
    if (seen && range.last <= *seen) {
      continue;
    }
    const std::uint64_t from = seen ? std::max(range.first, *seen + 1) : range.first;
    const std::uint64_t count = range.last - from;
    sum = count >= ~sum ? ~std::uint64_t{0} : sum + count + 1;
    seen = range.last;
  }
  return sum;
}

constexpr std::string_view kOpenRelay =
    "would make an open relay, which strangers use to send spam in your name; list only the "
    "networks of your own clients, for example 192.0.2.0/24";

bool is_too_wide(const Network& network) {
  // Unique local and link-local addresses are nobody else's, however many there are.
  const std::uint8_t first = network.bits()[0];
  const bool internal =
      network.is_v6() &&
      ((network.prefix() >= 7 && (first & 0xfe) == 0xfc) ||
       (network.prefix() >= 10 && first == 0xfe && (network.bits()[1] & 0xc0) == 0x80));
  return !internal && network.prefix() < (network.is_v6() ? 16 : 8);
}

void check_open_relay(const Listener& listener, const std::string& path, Findings& findings) {
  const std::string key = path + ".allow_networks";
  bool wide = false;
  for (std::size_t i = 0; i < listener.allow_networks.size(); ++i) {
    const Network& network = listener.allow_networks[i];
    if (is_too_wide(network)) {
      findings.fail(fmt::format("{}[{}]", key, i),
                    fmt::format("{} {}", network.text(), kOpenRelay));
      wide = true;
    }
  }
  // Half of IPv4, half of the global unicast IPv6 space 2000::/3.
  const bool half = covered(listener.allow_networks, false) > (1ULL << 31) ||
                    covered(listener.allow_networks, true) > (1ULL << 60);
  if (half && !wide) {
    findings.fail(
        key, fmt::format("these networks hold over half of all addresses; that {}", kOpenRelay));
  }
}

void check_listener_tls(const ListenerTls& tls, const std::string& path, Findings& findings) {
  if (tls.mode == ListenerTls::Mode::none) {
    if (!tls.certificate.empty() || !tls.key.empty() || !tls.client_ca.empty()) {
      findings.fail(path + ".mode",
                    "is none, so the files named here would not be used; write starttls or "
                    "implicit, or remove them");
    }
  } else if (tls.certificate.empty()) {
    findings.fail(path + ".certificate",
                  "is not given, but TLS needs one; name a PEM file with the certificate and its "
                  "chain");
  }
}

void check_client_proofs(const Listener& listener, const std::string& path, Findings& findings) {
  const bool tls = listener.tls.mode != ListenerTls::Mode::none;
  if (!listener.auth.users.empty() && !tls) {
    findings.fail(path + ".auth.users",
                  "is of no use without TLS, because passwords are not taken in plaintext; set "
                  "tls.mode");
  }
  if (listener.auth.required && listener.auth.users.empty()) {
    findings.fail(path + ".auth.required", "needs users to authenticate; name their file in users");
  }
  if (!listener.allow_certificates.empty() && !tls) {
    findings.fail(path + ".allow_certificates",
                  "is of no use without TLS, which shows certificates; set tls.mode");
  }
  for (std::size_t i = 0; i < listener.allow_certificates.size(); ++i) {
    const std::string& name = listener.allow_certificates[i];
    if (!parse_fingerprint(name) && listener.tls.client_ca.empty()) {
      findings.fail(fmt::format("{}.allow_certificates[{}]", path, i),
                    fmt::format("\"{}\" is proved by nobody; set tls.client_ca, or write the "
                                "certificate's SHA-256 fingerprint",
                                name));
    }
  }
}

// sockaddr_un holds 108 octets with the final NUL.
constexpr std::size_t kLongestSocketPath = 107;

/// What is for network clients is an error at a UNIX socket, and the other way round.
void check_kind(const Listener& listener, const std::string& path, Findings& findings) {
  if (!listener.address.is_unix()) {
    if (listener.socket != ListenerSocket{}) {
      findings.fail(path + ".socket",
                    "is for a UNIX socket only; set address: unix:/path, or remove this");
    }
    return;
  }
  if (listener.address.path.size() > kLongestSocketPath) {
    findings.fail(path + ".address",
                  fmt::format("{} is longer than the {} octets that a socket's path may have; "
                              "write a shorter one",
                              listener.address.path, kLongestSocketPath));
  }
  const bool tls = listener.tls.mode != ListenerTls::Mode::none;
  if (tls || !listener.proxy_protocol.empty()) {
    findings.fail(path + (tls ? ".tls" : ".proxy_protocol"),
                  "is of no use on a UNIX socket, whose clients the system vouches for; remove it");
  }
}

bool has_rate(const ClientLimits& limits) {
  return !limits.messages.value_or("").empty() || !limits.recipients.value_or("").empty();
}

/// What nobody's mail can be over.
void check_limits(const Listener& listener, const std::string& path, Findings& findings) {
  const bool any_rate = has_rate(listener.limits) ||
                        std::ranges::any_of(listener.client_rules, [](const ClientRule& rule) {
                          return rule.limits && has_rate(*rule.limits);
                        });
  if (any_rate) {
    return;
  }
  constexpr std::string_view kNoRate =
      "is of no use without a rate that mail can be over; set messages or recipients beside it, "
      "for example messages: 100/h";
  if (listener.limits.over == ClientLimits::Over::refuse) {
    findings.fail(path + ".limits.over", std::string(kNoRate));
  }
  for (std::size_t i = 0; i < listener.client_rules.size(); ++i) {
    const auto& limits = listener.client_rules[i].limits;
    if (limits && limits->over) {
      findings.fail(fmt::format("{}.client_rules[{}].limits.over", path, i), std::string(kNoRate));
    }
  }
}

void check_client_rules(const Listener& listener, const std::string& path, Findings& findings) {
  for (std::size_t i = 0; i < listener.client_rules.size(); ++i) {
    const ClientRule& rule = listener.client_rules[i];
    const std::string key = fmt::format("{}.client_rules[{}]", path, i);
    if (rule.users.empty() && rule.networks.empty()) {
      findings.fail(key,
                    "names no client; list some in users or networks, or write the filters and "
                    "limits beside address, where they are for all clients");
    }
  }
  for (std::size_t i = 0; i < listener.rewrite_senders.size(); ++i) {
    const SenderRewrite& rewrite = listener.rewrite_senders[i];
    if (rewrite.match.empty() || rewrite.to.empty()) {
      findings.fail(fmt::format("{}.rewrite_senders[{}]", path, i),
                    fmt::format("has no {}; write for example match: host.local, to: "
                                "\"@example.com\"",
                                rewrite.match.empty() ? "match" : "to"));
    }
  }
}

void check_listeners(const Config& config, Findings& findings) {
  if (config.listen.empty()) {
    findings.fail("listen", "needs at least one entry, for example [{address: 127.0.0.1:25}]");
  }
  std::set<ListenAddress> seen;
  for (std::size_t i = 0; i < config.listen.size(); ++i) {
    const Listener& listener = config.listen[i];
    const std::string path = fmt::format("listen[{}]", i);
    if (!seen.insert(listener.address).second) {
      findings.fail(
          path + ".address",
          fmt::format("{} is listened on already; remove one of the two", listener.address.text()));
    }
    check_open_relay(listener, path, findings);
    check_kind(listener, path, findings);
    check_client_rules(listener, path, findings);
    check_limits(listener, path, findings);
    check_listener_tls(listener.tls, path + ".tls", findings);
    check_client_proofs(listener, path, findings);
  }
}

void check_tls_policy(const TlsPolicy& policy, Findings& findings) {
  for (const auto& [domain, rule] : policy.domains) {
    if (auto fault = fault_of(rule)) {
      findings.fail(fmt::format("tls_policy.domains.{}{}{}", domain, fault->key.empty() ? "" : ".",
                                fault->key),
                    std::move(fault->reason));
    }
  }
}

void check_dns(const Dns& dns, Findings& findings) {
  if (dns.dnssec == Dns::Dnssec::validate && dns.trust_anchor.empty()) {
    findings.fail("dns.trust_anchor",
                  "is empty, but dnssec: validate needs the root's keys; name their file, for "
                  "example /usr/share/dns/root.key");
  }
}

std::string domain_of(std::string_view mailbox) {
  return std::string(mailbox.substr(mailbox.rfind('@') + 1));
}

void check_report_keys(const Reports& reports, const std::string& domain, Findings& findings) {
  bool aligned = reports.dkim.empty();
  for (std::size_t i = 0; i < reports.dkim.size(); ++i) {
    const ReportKey& key = reports.dkim[i];
    const std::string path = fmt::format("reports.dkim[{}]", i);
    if (key.selector.empty() || key.key_file.empty()) {
      findings.fail(path, fmt::format("has no {}; a key needs both selector and key_file",
                                      key.selector.empty() ? "selector" : "key_file"));
    }
    aligned = aligned || key.domain.empty() || key.domain == domain;
  }
  if (!aligned) {
    findings.fail("reports.dkim",
                  fmt::format("no key signs for {}, the domain of reports.contact, and receivers "
                              "ignore reports without that; add one with domain: {}",
                              domain, domain));
  }
}

void check_reports(const Reports& reports, Findings& findings) {
  if (!reports.enabled()) {
    return;
  }
  const std::string domain = domain_of(reports.contact);
  if (!reports.from.empty() && domain_of(reports.from) != domain) {
    // RFC 8460 §5.3: TLS-Report-Submitter, the signature and From are one domain's.
    findings.fail("reports.from",
                  fmt::format("{} is not in {}, the domain of reports.contact; write an address "
                              "there, or leave it out to use the contact",
                              reports.from, domain));
  }
  check_report_keys(reports, domain, findings);
}

void check_signing(const std::vector<ReportKey>& keys, Findings& findings) {
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const ReportKey& key = keys[i];
    if (key.domain.empty() || key.selector.empty() || key.key_file.empty()) {
      findings.fail(fmt::format("dkim[{}]", i),
                    "needs domain (of the senders in From), selector and key_file");
    }
  }
}

void check_events(const std::optional<Events>& events, Findings& findings) {
  if (!events) {
    return;
  }
  if (events->to.empty()) {
    findings.fail("events", "has no to; name the socket or the https address where events go");
  } else if (!events->token_file.empty() && !events->by_web()) {
    findings.fail("events.token_file", "is for https only; a socket's permissions protect it");
  }
}

void check_socket(const Config& config, Findings& findings) {
  if (config.control.socket.size() <= kLongestSocketPath) {
    return;
  }
  const bool given = config.control.socket != default_socket(config.queue);
  findings.fail(
      given ? "control.socket" : "queue.path",
      fmt::format("{} is longer than the {} octets that a socket's path may have; {}",
                  config.control.socket, kLongestSocketPath,
                  given ? "write a shorter one" : "write a shorter path, or set control.socket"));
}

}  // namespace

std::string default_socket(const Queue& queue) {
  return queue.path + "/control.sock";
}

void check(const Config& config, Findings& findings) {
  check_listeners(config, findings);
  check_routes(config, findings);
  check_socket(config, findings);
  check_tls_policy(config.tls_policy, findings);
  check_dns(config.dns, findings);
  check_reports(config.reports, findings);
  check_staging(config, findings);
  check_signing(config.dkim, findings);
  check_events(config.events, findings);
  if (config.limits.hard_errors < config.limits.soft_errors) {
    findings.fail("limits.hard_errors",
                  fmt::format("{} is below limits.soft_errors ({}); it must not be smaller",
                              config.limits.hard_errors, config.limits.soft_errors));
  }
}

}  // namespace conf
