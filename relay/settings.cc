#include "relay/settings.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <ifaddrs.h>
#include <netdb.h>
#include <sstream>
#include <system_error>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

namespace relay {
namespace {

/// A publisher's shorter TTL does not make every message ask for its _mta-sts record.
constexpr std::chrono::seconds kShortestRecordTtl{60};

/// The system's fully qualified name, or what there is of it.
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
  return result;
}

std::vector<net::SocketAddress> addresses(const std::vector<conf::AddressLiteral>& literals) {
  std::vector<net::SocketAddress> result;
  for (const conf::AddressLiteral& literal : literals) {
    if (auto address = net::SocketAddress::from_ip(literal.ip, literal.port)) {
      result.push_back(*address);
    }
  }
  return result;
}

std::string file_text(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
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

}  // namespace

Expected<conf::Config, std::vector<std::string>> load_config(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return Unexpected<std::vector<std::string>>(
        std::vector{fmt::format("{}: cannot be read: {}; name the file with --config", path,
                                std::generic_category().message(errno))});
  }
  std::ostringstream text;
  text << file.rdbuf();
  auto config = conf::parse(text.str());
  if (!config) {
    std::vector<std::string> lines;
    for (const conf::ConfigError& error : config.error()) {
      lines.push_back(fmt::format("{}:{}: {}{}{}", path, error.line, error.key,
                                  error.key.empty() ? "" : ": ", error.reason));
    }
    return Unexpected<std::vector<std::string>>(std::move(lines));
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

std::size_t worker_count(const conf::Config& config) {
  if (config.workers > 0) {
    return static_cast<std::size_t>(config.workers);
  }
  return std::max(1U, std::thread::hardware_concurrency());
}

std::shared_ptr<const delivery::WorkerSettings> worker_settings(
    const conf::Config& config, std::vector<net::SocketAddress> own_addresses) {
  auto settings = std::make_shared<delivery::WorkerSettings>();
  settings->hostname = config.hostname;
  settings->own_addresses = std::move(own_addresses);
  settings->routes = config.routes;
  settings->delivery = config.delivery;
  settings->queue = config.queue;
  settings->sts = config.sts;
  settings->workers = static_cast<int>(worker_count(config));
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

net::DnsClientOptions dns_options(const conf::Config& config) {
  net::DnsClientOptions options;
  if (config.test_world && !config.test_world->resolvers.empty()) {
    options.resolvers = addresses(config.test_world->resolvers);
  } else if (!config.dns.resolvers.empty()) {
    options.resolvers = addresses(config.dns.resolvers);
  } else {
    options.resolvers = net::system_resolvers(file_text("/etc/resolv.conf"));
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
