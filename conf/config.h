// The configuration: YAML text in, one immutable value out. Defaults here are the documentation;
// conf/relay.yaml shows every key.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tl/expected.hpp>

#include "conf/units.h"

namespace conf {

using Duration = std::chrono::milliseconds;

/// One listening address and who may relay through it.
struct Listener {
  AddressLiteral address{"127.0.0.1", 25};
  std::vector<Network> allow_networks;      ///< default: 127.0.0.0/8, ::1/128
  std::vector<Network> normalize_networks;  ///< clients whose bare LF/CR are mended, not refused
};

/// Mail for matching recipient domains goes to another next hop (RFC 8461 §3.4: its name is then
/// the policy domain).
struct Route {
  std::string match;  ///< "example.com", "*.example.com" or "*"; the first match counts
  std::string mx;     ///< look up the MX of this name; exclusive with host
  std::string host;   ///< this host, no MX lookup; a name or an IP address
  std::uint16_t port = 25;
};

struct Limits {
  std::uint64_t message_size = 50ULL << 20;  ///< octets
  int recipients = 1000;                     ///< per transaction, at least 100
  int connections = 500;                     ///< inbound, all listeners
  int connections_per_client = 50;
  int received_headers = 50;        ///< hops before a message counts as looping
  std::uint64_t header_size = 256ULL << 10;
  int line_length = 998;            ///< octets of a text line without CRLF
  int soft_errors = 10;             ///< from here on replies are slowed down
  int hard_errors = 20;             ///< then 421
  int junk_commands = 100;          ///< NOOP, RSET, VRFY … per message
  Duration command_timeout{std::chrono::minutes(5)};
  Duration session_timeout{std::chrono::hours(1)};
  std::uint64_t minimum_data_rate = 500;  ///< octets per second during DATA, mean
};

struct Queue {
  std::string path = "/var/lib/stsrelay";
  Duration lifetime{std::chrono::hours(96)};
  std::vector<Duration> retry;  ///< waits; default 0, 1m, 5m, 15m, 30m, 1h, 2h, 4h; last repeats
  int jitter_percent = 10;
  std::uint64_t min_free = 64ULL << 20;
};

struct Timeouts {
  Duration connect{std::chrono::seconds(30)}, greeting{std::chrono::minutes(5)},
      ehlo{std::chrono::minutes(5)}, starttls{std::chrono::minutes(1)},
      mail{std::chrono::minutes(5)}, rcpt{std::chrono::minutes(5)}, data{std::chrono::minutes(2)},
      body{std::chrono::minutes(3)}, final_dot{std::chrono::minutes(10)},
      rset{std::chrono::seconds(20)}, attempt{std::chrono::minutes(15)};
};

struct Delivery {
  int connections_per_destination = 20;
  int connections = 500;             ///< outbound, all destinations
  Duration connection_idle{std::chrono::seconds(5)};
  Duration connection_age{std::chrono::minutes(5)};
  int messages_per_connection = 100;
  int hosts_per_attempt = 20;      ///< MX hosts looked at
  int addresses_per_attempt = 5;
  int sessions_per_attempt = 2;    ///< sessions that reached a greeting
  bool force_8bit = false;
  bool ipv6 = true;
  Timeouts timeouts;
};

struct Sts {
  Duration first_contact_wait{std::chrono::seconds(60)};
  int concurrent_fetches = 64;
  std::uint64_t cache_entries = 1'000'000;
};

struct Dns {
  std::vector<AddressLiteral> resolvers;  ///< empty: /etc/resolv.conf
  std::vector<AddressLiteral> trust_ad;   ///< empty: loopback resolvers but 127.0.0.11
  Duration timeout{std::chrono::seconds(2)};
  int rounds = 3;
};

struct Control {
  std::string socket;  ///< default: <queue.path>/control.sock
};

enum class LogLevel { error, warning, info, debug };
struct Logging {
  LogLevel level = LogLevel::info;
  enum class Format { logfmt, json } format = Format::logfmt;
};

/// Overrides for tests on loopback; off unless named, and loudly announced.
struct TestWorld {
  std::vector<AddressLiteral> resolvers;
  std::uint16_t smtp_port = 25;
  std::uint16_t https_port = 443;
  std::string ca_file;
  bool allow_private_addresses = false;
};

struct Config {
  std::string hostname;  ///< default: the system's FQDN is filled in by the daemon
  std::string user;      ///< to become after binding, when started as root; "name" or "name:group"
  int workers = 0;       ///< 0: one per core
  std::vector<Listener> listen;  ///< default: one on 127.0.0.1:25
  std::vector<Route> routes;
  Limits limits;
  Queue queue;
  Delivery delivery;
  Sts sts;
  Dns dns;
  Control control;
  Logging log;
  std::optional<TestWorld> test_world;
};

struct ConfigError {
  std::size_t line = 0;  ///< from 1; 0: the file as a whole
  std::string key;       ///< "listen[0].address"
  std::string reason;    ///< what was wrong and what is accepted
};

/// Parses a whole file. Unknown keys, duplicate keys, wrong types and open relays
/// (allow_networks that hold all addresses) are errors. All errors found are returned, by line.
[[nodiscard]] tl::expected<Config, std::vector<ConfigError>> parse(std::string_view yaml);

/// The configuration as YAML, every key with its value in force; parse() of it gives an equal one.
[[nodiscard]] std::string to_yaml(const Config& config);

}  // namespace conf
