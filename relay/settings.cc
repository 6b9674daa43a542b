#include "relay/settings.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <ifaddrs.h>
#include <memory>
#include <netdb.h>
#include <optional>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include "conf/environment.h"
#include "relay/file_text.h"

namespace relay {
namespace {

/// A publisher's shorter TTL does not make every message ask for its _mta-sts record.
constexpr std::chrono::seconds kShortestRecordTtl{60};

std::vector<net::SocketAddress> addresses(const std::vector<conf::AddressLiteral>& literals) {
  std::vector<net::SocketAddress> result;
  for (const conf::AddressLiteral& literal : literals) {
    if (auto address = net::SocketAddress::from_ip(literal.ip, literal.port)) {
      result.push_back(*address);
    }
  }
  return result;
}

bool is_trusted_stub(const net::SocketAddress& resolver) {
  const std::string ip = resolver.ip();
  return ip == "::1" || (ip.starts_with("127.") && ip != "127.0.0.11");
}

bool is_wildcard(const net::SocketAddress& address) {
  return address.ip() == "0.0.0.0" || address.ip() == "::";
}

std::vector<net::SocketAddress> interface_addresses(net::IpFamily family, std::uint16_t port) {
  std::vector<net::SocketAddress> result;
  ifaddrs* interfaces = nullptr;
  if (::getifaddrs(&interfaces) != 0) {
    return result;
  }
  const std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)> owner(interfaces, ::freeifaddrs);
  for (const ifaddrs* entry = interfaces; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr) {
      continue;
    }
    const socklen_t length =
        entry->ifa_addr->sa_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    const auto address = net::SocketAddress::from_sockaddr(entry->ifa_addr, length);
    if (address && address->family() == family) {
      if (auto with_port = net::SocketAddress::from_ip(address->ip(), port)) {
        result.push_back(*with_port);
      }
    }
  }
  return result;
}

std::vector<std::string> lines_of(const std::string& path,
                                  const std::vector<conf::ConfigError>& errors) {
  std::vector<std::string> lines;
  lines.reserve(errors.size());
  for (const conf::ConfigError& error : errors) {
    lines.push_back(fmt::format("{}:{}: {}{}{}", path, error.line, error.key,
                                error.key.empty() ? "" : ": ", error.reason));
  }
  return lines;
}

Expected<std::shared_ptr<const net::DnssecAnchors>, std::string> trust_anchors(
    const std::string& path) {
  constexpr std::string_view kRemedy =
      "install the package dns-root-data, name another file there, or set dns.dnssec: trust_ad";
  const auto text = file_text(path);
  if (!text) {
    return Unexpected<std::string>(
        fmt::format("dns.trust_anchor: {} cannot be read: {}; {}", path, text.error(), kRemedy));
  }
  auto anchors = net::DnssecAnchors::parse(*text);
  if (!anchors) {
    return Unexpected<std::string>(
        fmt::format("dns.trust_anchor: {}: {}; {}", path, anchors.error(), kRemedy));
  }
  return std::make_shared<const net::DnssecAnchors>(std::move(*anchors));
}

}  // namespace

std::string system_hostname() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) {
    return "localhost.localdomain";
  }
  addrinfo hints{};
  hints.ai_flags = AI_CANONNAME;
  addrinfo* found = nullptr;
  std::string result = name.data();
  if (::getaddrinfo(name.data(), nullptr, &hints, &found) == 0) {
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, ::freeaddrinfo);
    if (found->ai_canonname != nullptr) {
      result = found->ai_canonname;
    }
  }
  std::ranges::transform(result, result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return result;
}

Expected<message::DkimKey, std::string> load_dkim_key(const std::string& path) {
  auto text = file_text(path);
  if (!text) {
    return Unexpected<std::string>(
        fmt::format("{} cannot be read: {}; put the key there, readable for the user "
                    "that stsrelay runs as",
                    path, text.error()));
  }
  std::string& pem = *text;
  auto key = message::DkimKey::from_pem(pem);
  ::explicit_bzero(pem.data(), pem.size());
  if (!key) {
    return Unexpected<std::string>(fmt::format("{}: {}", path, key.error()));
  }
  return std::move(*key);
}

namespace {

std::optional<std::string> environment(const std::string& name) {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here changes the environment.
  const char* const value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

}  // namespace

Expected<conf::Config, std::vector<std::string>> load_config(const std::string& path) {
  const auto text = file_text(path);
  if (!text) {
    return Unexpected<std::vector<std::string>>(std::vector{
        fmt::format("{}: cannot be read: {}; name the file with --config", path, text.error())});
  }
  auto config = conf::parse(*text, environment);
  if (!config) {
    return Unexpected<std::vector<std::string>>(lines_of(path, config.error()));
  }
  if (config->hostname.empty()) {
    config->hostname = system_hostname();
    if (config->hostname.find('.') == std::string::npos) {
      // RFC 5321 §4.1.1.1: EHLO wants a fully qualified name; many receivers refuse anything else.
      return Unexpected<std::vector<std::string>>(std::vector{fmt::format(
          "{}: hostname: not set, and the system's own name \"{}\" is not fully qualified; set it, "
          "for example hostname: relay.example.org",
          path, config->hostname)});
    }
  }
  return std::move(*config);
}

std::vector<std::string> config_warnings(const std::string& path, net::WallTime now) {
  std::vector<std::string> lines =
      lines_of(path, conf::warnings(file_text(path).value_or(""), now));
  for (std::string& line : lines) {
    line += " (warning)";
  }
  return lines;
}

Expected<conf::Preload, std::vector<std::string>> load_preload(const conf::Config& config) {
  const std::string& path = config.tls_policy.preload;
  if (path.empty()) {
    return conf::Preload{};
  }
  const auto text = file_text(path);
  if (!text) {
    return Unexpected<std::vector<std::string>>(std::vector{
        fmt::format("{}: tls_policy.preload: cannot be read: {}; put the file there, or set "
                    "preload: \"\"",
                    path, text.error())});
  }
  auto preload = conf::parse_preload(*text);
  if (!preload) {
    return Unexpected<std::vector<std::string>>(lines_of(path, preload.error()));
  }
  return std::move(*preload);
}

std::size_t worker_count(const conf::Config& config) {
  if (config.workers > 0) {
    return static_cast<std::size_t>(config.workers);
  }
  return std::max(1U, std::thread::hardware_concurrency());
}

net::Revocation revocation(const conf::Config& config) {
  switch (config.tls_policy.revocation) {
    case conf::TlsPolicy::Revocation::off:
      return net::Revocation::off;
    case conf::TlsPolicy::Revocation::stapled:
      break;
  }
  return net::Revocation::stapled;
}

std::shared_ptr<const delivery::WorkerSettings> worker_settings(
    const conf::Config& config, std::vector<net::SocketAddress> own_addresses,
    std::shared_ptr<const delivery::LocalRules> rules, DeliveryFiles files) {
  auto settings = std::make_shared<delivery::WorkerSettings>();
  settings->hostname = config.hostname;
  settings->own_addresses = std::move(own_addresses);
  settings->routes = config.routes;
  settings->delivery = config.delivery;
  settings->queue = config.queue;
  settings->notices = config.notices;
  settings->sts = config.sts;
  settings->rules = std::move(rules);
  settings->credentials = std::move(files.credentials);
  settings->signing_keys = std::move(files.signing_keys);
  settings->composition = config.tls_policy.dane_with_sts == conf::TlsPolicy::DaneWithSts::both
                              ? delivery::Composition::both
                              : delivery::Composition::dane_decides;
  settings->revocation = revocation(config);
  settings->workers = static_cast<int>(worker_count(config));
  settings->reports = config.reports.enabled() ? delivery::WorkerSettings::Reports::sent
                                               : delivery::WorkerSettings::Reports::off;
  settings->staging = config.staging;
  if (config.test_world) {
    settings->smtp_port = config.test_world->smtp_port;
    settings->https_port = config.test_world->https_port;
    settings->ca_file = config.test_world->ca_file;
    settings->private_addresses = config.test_world->allow_private_addresses
                                      ? delivery::PrivateAddresses::allowed
                                      : delivery::PrivateAddresses::refused;
  }
  return settings;
}

Expected<std::shared_ptr<const reporting::ReportSettings>, std::string> report_settings(
    const conf::Config& config) {
  auto settings = std::make_shared<reporting::ReportSettings>();
  settings->reports = config.reports;
  settings->hostname = config.hostname;
  settings->revocation = revocation(config);
  if (config.test_world && config.test_world->allow_private_addresses) {
    settings->private_addresses = reporting::ReportSettings::PrivateAddresses::allowed;
  }
  if (!config.reports.enabled()) {
    return settings;
  }
  for (const conf::ReportKey& key : config.reports.dkim) {
    auto loaded = load_dkim_key(key.key_file);
    if (!loaded) {
      return Unexpected<std::string>("reports.dkim: " + loaded.error());
    }
    settings->signers.push_back({key.domain.empty() ? settings->submitter() : key.domain,
                                 key.selector, std::move(*loaded)});
  }
  return settings;
}

Expected<net::DnsClientOptions, std::string> dns_options(const conf::Config& config) {
  net::DnsClientOptions options;
  if (config.test_world && !config.test_world->resolvers.empty()) {
    options.resolvers = addresses(config.test_world->resolvers);
  } else if (!config.dns.resolvers.empty()) {
    options.resolvers = addresses(config.dns.resolvers);
  } else {
    options.resolvers = net::system_resolvers(file_text("/etc/resolv.conf").value_or(""));
  }
  if (!config.dns.trust_ad.empty()) {
    options.trust_ad = addresses(config.dns.trust_ad);
  } else {
    std::copy_if(options.resolvers.begin(), options.resolvers.end(),
                 std::back_inserter(options.trust_ad), is_trusted_stub);
  }
  options.try_timeout = config.dns.timeout;
  options.min_txt_ttl =
      config.test_world
          ? std::chrono::ceil<std::chrono::seconds>(config.test_world->shortest_record_ttl)
          : kShortestRecordTtl;
  options.rounds = config.dns.rounds;
  if (config.dns.dnssec == conf::Dns::Dnssec::validate) {
    auto anchors = trust_anchors(config.dns.trust_anchor);
    if (!anchors) {
      return Unexpected<std::string>(std::move(anchors.error()));
    }
    options.dnssec = net::DnssecMode::validate;
    options.anchors = std::move(*anchors);
  }
  return options;
}

std::vector<net::SocketAddress> reachable_at(const std::vector<net::SocketAddress>& listeners) {
  std::vector<net::SocketAddress> result;
  for (const net::SocketAddress& listener : listeners) {
    if (is_wildcard(listener)) {
      const auto all = interface_addresses(listener.family(), listener.port());
      result.insert(result.end(), all.begin(), all.end());
    } else {
      result.push_back(listener);
    }
  }
  return result;
}

}  // namespace relay
