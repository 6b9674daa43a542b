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

#include "conf/listener.h"
#include "conf/notices.h"
#include "conf/queue_rules.h"
#include "conf/routes.h"
#include "conf/staging.h"
#include "conf/tls_rules.h"
#include "conf/units.h"

namespace conf {

using Duration = std::chrono::milliseconds;

struct Limits {
  std::uint64_t message_size = 50ULL << 20;  ///< octets
  int recipients = 1000;                     ///< per transaction, at least 100
  int connections = 500;                     ///< inbound, all listeners
  int connections_per_client = 50;
  int received_headers = 50;  ///< hops before a message counts as looping
  std::uint64_t header_size = 256ULL << 10;
  int line_length = 998;    ///< octets of a text line without CRLF
  int soft_errors = 10;     ///< from here on replies are slowed down
  int hard_errors = 20;     ///< then 421
  int auth_failures = 20;   ///< of one address within ten minutes; then no AUTH from there
  int junk_commands = 100;  ///< NOOP, RSET, VRFY … per message
  Duration command_timeout{std::chrono::minutes(5)};
  Duration session_timeout{std::chrono::hours(1)};
  std::uint64_t minimum_data_rate = 500;  ///< octets per second during DATA, mean
  friend bool operator==(const Limits&, const Limits&) = default;
};

struct Queue {
  std::string path = "/var/lib/stsrelay";
  Duration lifetime{std::chrono::hours(96)};
  Duration warn_after{std::chrono::hours(4)};  ///< the sender is told of the delay; 0: never
  /// Waits before the first, second … attempt; the last one repeats.
  std::vector<Duration> retry{std::chrono::minutes(0),  std::chrono::minutes(1),
                              std::chrono::minutes(5),  std::chrono::minutes(15),
                              std::chrono::minutes(30), std::chrono::hours(1),
                              std::chrono::hours(2),    std::chrono::hours(4)};
  int jitter_percent = 10;
  std::uint64_t min_free = 64ULL << 20;
  // Above these nothing is accepted until some of it is gone; 0: no limit.
  std::uint64_t max_messages = 1'000'000;
  std::uint64_t max_size = 0;                 ///< octets of all messages
  std::uint64_t max_messages_per_sender = 0;  ///< of one user, or one address if nobody signed in
  std::map<std::string, QueueRule> domains;
  std::map<std::string, QueueUser> users;
  friend bool operator==(const Queue&, const Queue&) = default;
};

struct Timeouts {
  Duration connect{std::chrono::seconds(30)}, greeting{std::chrono::minutes(5)},
      ehlo{std::chrono::minutes(5)}, starttls{std::chrono::minutes(1)},
      mail{std::chrono::minutes(5)}, rcpt{std::chrono::minutes(5)}, data{std::chrono::minutes(2)},
      body{std::chrono::minutes(3)}, final_dot{std::chrono::minutes(10)},
      rset{std::chrono::seconds(20)}, attempt{std::chrono::minutes(15)};
  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

/// What is special about one recipient domain.
struct DestinationRule {
  enum class Ipv6 { no, yes };
  std::optional<Ipv6> ipv6;  ///< absent: as delivery.ipv6
  int connections = 0;       ///< 0: delivery.connections_per_destination
  std::string rate;          ///< "100/h": recipients; empty: as many as it takes
  friend bool operator==(const DestinationRule&, const DestinationRule&) = default;
};

/// What a refusal means beside what its code says. Empty: everything.
struct ReplyRule {
  std::string host;    ///< "mx.example.com" or "*.example.com": MX host or recipient domain
  std::string code;    ///< how the reply begins: "421", "4"
  std::string status;  ///< how its enhanced code does: "4.7", "5.7.1"
  std::string text;    ///< words in it, in any case; several divided by |
  /// slow_down: as defer, and the destination has a pause.
  enum class Action { defer, slow_down, fail } action = Action::slow_down;
  Duration wait{std::chrono::minutes(2)};  ///< the pause
  friend bool operator==(const ReplyRule&, const ReplyRule&) = default;
};

struct Delivery {
  int connections_per_destination = 20;
  int connections = 500;  ///< outbound, all destinations
  Duration connection_idle{std::chrono::seconds(5)};
  Duration connection_age{std::chrono::minutes(5)};
  int messages_per_connection = 100;
  int hosts_per_attempt = 100;  ///< MX hosts looked at
  int addresses_per_host = 5;
  int sessions_per_attempt = 2;  ///< failed ones that had got past EHLO
  bool force_8bit = false;
  bool ipv6 = true;
  enum class Prefer { ipv6, ipv4, none } prefer = Prefer::ipv6;  ///< which family is tried first
  std::string helo;                                              ///< name in EHLO; empty: hostname
  std::string source_ipv4;  ///< address that connections come from; empty: the system chooses
  std::string source_ipv6;
  /// A host that could not be reached is left alone, and a dead upstream tried last, for so long.
  Duration host_retry{std::chrono::minutes(1)};
  std::map<std::string, DestinationRule> domains;  ///< recipient domains
  /// The first that fits counts.
  std::vector<ReplyRule> reply_rules{{"", "421", "", "too many|rate|limit"},
                                     {"", "", "4.7", "too many|rate|limit"}};
  Timeouts timeouts;
  friend bool operator==(const Delivery&, const Delivery&) = default;
};

struct Sts {
  Duration first_contact_wait{std::chrono::seconds(60)};
  /// What mail does when that wait is over and no policy came: RFC 8461 §10.2 leaves it open.
  enum class FirstContact { deliver, hold } first_contact = FirstContact::deliver;
  /// With nothing cached and a TXT record that cannot be looked up.
  enum class OnDnsFailure { proceed, defer } on_dns_failure = OnDnsFailure::proceed;
  int concurrent_fetches = 64;
  int concurrent_fetches_per_host = 4;  ///< at one address; both for all workers together
  std::uint64_t cache_entries = 1'000'000;
  int history = 5;  ///< replaced policies kept per domain
  friend bool operator==(const Sts&, const Sts&) = default;
};

struct Dns {
  std::vector<AddressLiteral> resolvers;  ///< empty: /etc/resolv.conf
  std::vector<AddressLiteral> trust_ad;   ///< empty: loopback resolvers but 127.0.0.11
  Duration timeout{std::chrono::seconds(2)};
  int rounds = 3;
  /// Who says that answers are secure: trusted resolvers by their AD bit, or we by the signatures.
  enum class Dnssec { trust_ad, validate } dnssec = Dnssec::trust_ad;
  std::string trust_anchor = "/usr/share/dns/root.key";  ///< for validate: DNSKEY or DS of the root
  friend bool operator==(const Dns&, const Dns&) = default;
};

struct Control {
  std::string socket;  ///< parse() fills in <queue.path>/control.sock where none is given
  friend bool operator==(const Control&, const Control&) = default;
};

enum class LogLevel { error, warning, info, debug };
struct Logging {
  LogLevel level = LogLevel::info;
  enum class Format { logfmt, json, postfix } format = Format::logfmt;
  std::string syslog_name = "postfix";  ///< of the lines of format postfix
  bool postfix_tls = false;             ///< tls= in its delivery lines, which pflogsumm cannot read
  std::uint64_t trace_memory = 8ULL << 20;  ///< octets of the latest lines kept for `trace`
  friend bool operator==(const Logging&, const Logging&) = default;
};

/// The HTTP endpoint for monitoring; absent: none.
struct Metrics {
  AddressLiteral address{"127.0.0.1", 9125};
  friend bool operator==(const Metrics&, const Metrics&) = default;
};

/// A key that signs mail (RFC 6376), that of reports too (RFC 8460 §3).
struct ReportKey {
  std::string domain;  ///< d=; empty, for reports only: the contact's domain
  std::string selector;
  std::string key_file;  ///< PEM, RSA or Ed25519
  friend bool operator==(const ReportKey&, const ReportKey&) = default;
};

/// What reports leave out (RFC 8460 §8).
struct Redact {
  bool sending_mta_ip = false;
  bool helo = false;    ///< the name that the receiving host gave
  bool reason = false;  ///< failure-reason-code
  friend bool operator==(const Redact&, const Redact&) = default;
};

/// Reports about one policy domain.
struct ReportRule {
  bool send = true;
  std::vector<std::string> rua;  ///< instead of what the domain publishes; empty: that
  friend bool operator==(const ReportRule&, const ReportRule&) = default;
};

/// TLS-RPT: reports to the domains that mail went to (RFC 8460). Off without a contact.
struct Reports {
  std::string organization;  ///< organization-name; empty: the contact's domain
  std::string contact;       ///< contact-info, one address; empty: no reports
  std::string from;          ///< sender of report mail, in the contact's domain; empty: the contact
  std::vector<ReportKey> dkim;
  Duration window{std::chrono::hours(4)};    ///< after the grace, spread by domain
  Duration grace{std::chrono::minutes(10)};  ///< after midnight UTC
  int details_per_policy = 100;              ///< failure details; the rest is folded
  Redact redact;
  std::map<std::string, ReportRule> domains;
  bool success_only = true;    ///< also reports without any failure
  std::string dry_run_folder;  ///< reports are written there and not sent; empty: sent

  [[nodiscard]] bool enabled() const { return !contact.empty(); }
  friend bool operator==(const Reports&, const Reports&) = default;
};

/// Overrides for tests on loopback; off unless named, and loudly announced.
struct TestWorld {
  std::vector<AddressLiteral> resolvers;
  std::uint16_t smtp_port = 25;
  std::uint16_t https_port = 443;
  std::string ca_file;
  bool allow_private_addresses = false;
  Duration shortest_record_ttl{0};  ///< of TXT records; outside a test world a minute
  Duration clock_offset{0};         ///< by which the wall clock is ahead of the system's
  friend bool operator==(const TestWorld&, const TestWorld&) = default;
};

struct Config {
  std::string hostname;  ///< default: the system's FQDN is filled in by the daemon
  std::string user;      ///< to become after binding, when started as root; "name" or "name:group"
  int workers = 0;       ///< 0: one per core
  std::vector<Listener> listen{Listener{}};
  std::vector<Route> routes;
  Limits limits;
  Queue queue;
  Delivery delivery;
  Sts sts;
  TlsPolicy tls_policy;
  Reports reports;
  std::vector<ReportKey> dkim;  ///< for relayed mail, by the domain in From
  Notices notices;
  Dns dns;
  Control control;
  Logging log;
  std::optional<Metrics> metrics;
  std::optional<Staging> staging;
  std::optional<Events> events;
  std::optional<TestWorld> test_world;
  friend bool operator==(const Config&, const Config&) = default;
};

struct ConfigError {
  std::size_t line = 0;  ///< from 1; 0: the file as a whole
  std::string key;       ///< "listen[0].address"
  std::string reason;    ///< what was wrong and what is accepted
  /// "line 12: queue.lifetime: …".
  [[nodiscard]] std::string text() const;
  friend bool operator==(const ConfigError&, const ConfigError&) = default;
};

/// Parses a whole file. Unknown keys, duplicate keys, wrong types and open relays
/// (allow_networks that hold all addresses) are errors. All errors found are returned, by line.
[[nodiscard]] tl::expected<Config, std::vector<ConfigError>> parse(std::string_view yaml);

/// What a configuration without errors says in vain: rules that are over. By line.
[[nodiscard]] std::vector<ConfigError> warnings(std::string_view yaml, Moment now);

/// The line of a key ("listen[0].tls.key"), or of the nearest one above it, in a text that parse()
/// takes; 0: it is not in the text.
[[nodiscard]] std::size_t line_of(std::string_view yaml, const std::string& key);

/// The configuration as YAML, every key with its value in force; parse() of it gives an equal one.
[[nodiscard]] std::string to_yaml(const Config& config);

}  // namespace conf
