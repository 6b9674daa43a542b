#include "conf/config.h"

#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <fmt/format.h>

#include "conf/schema.h"

namespace {

using conf::ConfigError;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

conf::Config parsed(const std::string& yaml) {
  auto config = conf::parse(yaml);
  if (!config) {
    for (const ConfigError& error : config.error()) {
      MESSAGE(error.text());
    }
    FAIL("refused");
  }
  return *config;
}

std::vector<ConfigError> refused(const std::string& yaml) {
  const auto config = conf::parse(yaml);
  return config ? std::vector<ConfigError>{} : config.error();
}

std::string shipped_example() {
  std::ifstream file(std::string(STSRELAY_TEST_DATA) + "/../../conf/relay.yaml");
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Lists every key of the configuration by visiting it.
struct KeyCollector {
  std::vector<std::string> keys;
  template <class T, class Rule>
  void value(const char* key, T& /*target*/, const Rule& /*rule*/) {
    keys.emplace_back(key);
  }
  template <class Section>
  void section(const char* key, Section& section) {
    keys.emplace_back(key);
    visit(*this, section);
  }
  template <class Section>
  void optional_section(const char* key, std::optional<Section>& /*absent*/) {
    Section section;
    this->section(key, section);
  }
  template <class Section>
  void list(const char* key, std::vector<Section>& /*sections*/) {
    Section section;
    this->section(key, section);
  }
  template <class Section>
  void map(const char* key, std::map<std::string, Section>& /*sections*/,
           const conf::ByDomain& /*rule*/) {
    Section section;
    this->section(key, section);
  }
};

TEST_CASE("an empty file means the defaults") {
  for (const char* yaml : {"", "\n", "# nothing\n", "---\n", "{}", "limits:\nlisten:\n"}) {
    CAPTURE(yaml);
    CHECK(parsed(yaml) == parsed(""));
  }
  conf::Config expected;
  expected.control.socket = "/var/lib/stsrelay/control.sock";
  CHECK(parsed("") == expected);
}

TEST_CASE("the defaults listen on loopback, for loopback") {
  const conf::Config config = parsed("");
  REQUIRE(config.listen.size() == 1);
  CHECK(config.listen[0].address.text() == "127.0.0.1:25");
  REQUIRE(config.listen[0].allow_networks.size() == 2);
  CHECK(config.listen[0].allow_networks[0].text() == "127.0.0.0/8");
  CHECK(config.listen[0].allow_networks[1].text() == "::1/128");
  CHECK(config.queue.retry.size() == 8);
  CHECK(config.queue.retry.back() == hours(4));
  CHECK_FALSE(config.test_world);
}

TEST_CASE("the shipped example parses to the defaults") {
  CHECK(parsed(shipped_example()) == parsed(""));
}

TEST_CASE("the shipped example shows every setting") {
  KeyCollector collector;
  conf::Config config;
  visit(collector, config);
  CHECK(collector.keys.size() > 60);
  const std::string example = shipped_example();
  for (const std::string& key : collector.keys) {
    CAPTURE(key);
    CHECK(std::regex_search(example, std::regex("(^|\n)#?[ -]*" + key + ":")));
  }
}

TEST_CASE("the shipped example's optional settings are right, too") {
  const std::string with_options = std::regex_replace(
      shipped_example(), std::regex("(^|\n)#( *- |  +)?([a-z0-9_.*\"]+:)"), "$1$2$3");
  const std::string without_doubles = std::regex_replace(
      with_options,
      std::regex("\nroutes: \\[\\]|\n  domains: \\{\\}|\n  users: \\{\\}|\n(  )?dkim: \\[\\]|"
                 "\n    client_rules: \\[\\]|\n    rewrite_senders: \\[\\]"),
      "");
  // Its staging section belongs to a relay of this name.
  const conf::Config config = parsed(std::regex_replace(
      without_doubles, std::regex("\nhostname: \"\""), "\nhostname: relay.staging.example.com"));
  REQUIRE(config.staging);
  CHECK(config.staging->faults.size() == 3);
  REQUIRE(config.listen.size() == 2);
  CHECK(config.listen[1].address.path == "/run/stsrelay/smtp.sock");
  CHECK(config.listen[0].client_rules.size() == 1);
  CHECK(config.routes.size() == 4);
  CHECK(config.delivery.domains.size() == 1);
  CHECK(config.queue.domains.size() == 1);
  CHECK(config.queue.users.at("newsletter").priority == conf::Priority::bulk);
  CHECK(config.tls_policy.domains.size() == 4);
  REQUIRE(config.metrics);
  CHECK(config.metrics == conf::Metrics{});
  CHECK(config.reports.dkim.size() == 1);
  CHECK(config.dkim.size() == 1);
  CHECK(config.reports.domains.size() == 2);
  REQUIRE(config.test_world);
  CHECK(config.test_world->smtp_port == 2525);
}

TEST_CASE("values are read into their settings") {
  const conf::Config config = parsed(R"(
hostname: Relay.Example.Com
user: mail:mail
workers: 4
listen:
  - address: 192.0.2.1:2525
    allow_networks: [192.0.2.0/24, 10.0.0.0/8, fd00::/8]
    tls: {mode: starttls, certificate: /etc/c.pem, key: /etc/k.pem, minimum_version: 1.3,
          client_ca: /etc/ca.pem}
    auth: {users: /etc/users, required: true}
    allow_certificates: [App.Example, "*", "2D711642B726B04401627CA9FBAC32F5C8530FB1903CC4DB02258717921A4881"]
    normalize_networks:
      - 192.0.2.9
  - {address: "[::1]"}
routes:
  - {match: Example.Com, mx: Example.Net}
  - {match: "*.example.com", host: Mail.Example.Net}
  - {match: "*", host: 192.0.2.5, port: 587}
limits: {message_size: 25MiB, recipients: 100, command_timeout: 90s}
queue: {path: /srv/q, lifetime: 2d, retry: [0, 250ms, 1m], jitter_percent: 0, min_free: 0}
delivery: {ipv6: false, timeouts: {connect: 1500ms}}
dns: {resolvers: [127.0.0.1, "[::1]:5353"], trust_ad: ["127.0.0.1:53"], rounds: 1}
log: {level: debug, format: json}
test_world: {resolvers: ["127.0.0.2:5300"], smtp_port: 2525, ca_file: /tmp/ca.pem,
             allow_private_addresses: true}
)");
  CHECK(config.hostname == "relay.example.com");
  CHECK(config.user == "mail:mail");
  CHECK(config.workers == 4);
  REQUIRE(config.listen.size() == 2);
  CHECK(config.listen[0].allow_networks.size() == 3);
  CHECK(config.listen[0].normalize_networks.at(0).text() == "192.0.2.9/32");
  CHECK(config.listen[0].tls.mode == conf::ListenerTls::Mode::starttls);
  CHECK(config.listen[0].tls.certificate == "/etc/c.pem");
  CHECK(config.listen[0].tls.minimum_version == conf::ListenerTls::Version::tls13);
  CHECK(config.listen[0].auth.users == "/etc/users");
  CHECK(config.listen[0].auth.required);
  CHECK(
      config.listen[0].allow_certificates ==
      std::vector<std::string>{"app.example", "*",
                               "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"});
  CHECK(config.listen[1].tls == conf::ListenerTls{});
  CHECK(config.listen[1].address.text() == "[::1]:25");
  CHECK(config.listen[1].allow_networks == conf::loopback_networks());
  REQUIRE(config.routes.size() == 3);
  CHECK(config.routes[0].match == "example.com");
  CHECK(config.routes[0].mx == "example.net");
  CHECK(config.routes[1].host == "mail.example.net");
  CHECK(config.routes[2].host == "192.0.2.5");
  CHECK(config.routes[2].port == 587);
  CHECK(config.limits.message_size == 25U << 20);
  CHECK(config.limits.command_timeout == seconds(90));
  CHECK(config.limits.connections == 500);
  CHECK(config.queue.retry ==
        std::vector<conf::Duration>{milliseconds(0), milliseconds(250), milliseconds(60'000)});
  CHECK(config.control.socket == "/srv/q/control.sock");
  CHECK_FALSE(config.delivery.ipv6);
  CHECK(config.delivery.timeouts.connect == milliseconds(1500));
  CHECK(config.dns.resolvers.at(0).text() == "127.0.0.1:53");
  CHECK(config.dns.resolvers.at(1).text() == "[::1]:5353");
  CHECK(config.log.level == conf::LogLevel::debug);
  CHECK(config.log.format == conf::Logging::Format::json);
  REQUIRE(config.test_world);
  CHECK(config.test_world->allow_private_addresses);
  CHECK(config.test_world->https_port == 443);
}

TEST_CASE("an error names its line, its key, what was wrong and what is accepted") {
  struct Row {
    const char* yaml;
    const char* text;
  };
  const std::vector<Row> rows{
      {"\nqueue:\n  lifetime: 5x\n",
       "line 3: queue.lifetime: \"5x\" is no duration; write for example 30s, 5m, 4h or 4d"},
      {"queue: {lifetime: 5}",
       "line 1: queue.lifetime: \"5\" is no duration; write for example 30s, 5m, 4h or 4d"},
      {"queue: {lifetime: 100ms}", "line 1: queue.lifetime: \"100ms\" is not between 1s and 30d"},
      {"limits:\n  recipients: 99",
       "line 2: limits.recipients: \"99\" is no whole number from 100 to 100000"},
      {"limits:\n  recipients: many",
       "line 2: limits.recipients: \"many\" is no whole number from 100 to 100000"},
      {"limits:\n  message_size: 25MB",
       "line 2: limits.message_size: \"25MB\" is no size; write octets, or for example 64KiB, "
       "25MiB or 1GiB"},
      {"limits: {message_size: 1KiB}",
       "line 1: limits.message_size: \"1KiB\" is not between 64KiB and 4GiB"},
      {"workers: -1", "line 1: workers: \"-1\" is no whole number from 0 to 1024"},
      {"workers: [1]", "line 1: workers: must be a single value, not a list or a section"},
      {"workers:", "line 1: workers: has no value; give one or remove the line"},
      {"queue:\n  lifetme: 4d", "line 2: queue.lifetme: is no setting; did you mean \"lifetime\"?"},
      {"dns:\n  zzzzzzzzz: 1",
       "line 2: dns.zzzzzzzzz: is no setting; known here: resolvers, trust_ad, timeout, rounds, "
       "dnssec, trust_anchor"},
      {"workers: 1\nworkers: 2", "line 2: workers: is given twice (first on line 1); remove one"},
      {"limits: 5", "line 1: limits: must hold \"key: value\" lines"},
      {"- 5", "line 1: must hold \"key: value\" lines"},
      {"just words", "line 1: must hold \"key: value\" lines"},
      {"? [a]\n: b", "line 1: a key must be a plain word"},
      {"listen:\n  address: 127.0.0.1:25",
       "line 1: listen: must be a list; begin each entry with \"- \""},
      {"listen:\n  - address: example.com:25",
       "line 2: listen[0].address: \"example.com:25\" is no IP address with a port; write for "
       "example 192.0.2.1:25 or \"[2001:db8::1]:25\" (port 25 may be left out), or unix:/path of "
       "a socket"},
      {"listen: []",
       "line 1: listen: needs at least one entry, for example [{address: 127.0.0.1:25}]"},
      {"listen:\n  - 127.0.0.1:25", "line 2: listen[0]: must hold \"key: value\" lines"},
      {"listen: [{address: 127.0.0.1},\n {address: 127.0.0.1:25}]",
       "line 2: listen[1].address: 127.0.0.1:25 is listened on already; remove one of the two"},
      {"listen:\n  - allow_networks: 10.0.0.0/8",
       "line 2: listen[0].allow_networks: must be a list: [first, second], also for one item"},
      {"listen:\n  - allow_networks:\n      - 10.0.0.0/8\n      - 10.0.0.1/8",
       "line 4: listen[0].allow_networks[1]: \"10.0.0.1/8\" is no network; write for example "
       "192.0.2.0/24, 2001:db8::/32 or one address (bits after the prefix must be zero)"},
      {"listen:\n  - tls: {certificate: /etc/c.pem}",
       "line 2: listen[0].tls.mode: is none, so the files named here would not be used; write "
       "starttls or implicit, or remove them"},
      {"listen:\n  - tls:\n      mode: implicit",
       "line 2: listen[0].tls.certificate: is not given, but TLS needs one; name a PEM file with "
       "the certificate and its chain"},
      {"listen: [{tls: {mode: smtps}}]",
       "line 1: listen[0].tls.mode: \"smtps\" is not known; write one of none, starttls, implicit"},
      {"listen: [{tls: {minimum_version: \"1.1\"}}]",
       "line 1: listen[0].tls.minimum_version: \"1.1\" is not known; write one of 1.2, 1.3"},
      {"listen:\n  - auth: {users: /etc/stsrelay/users}",
       "line 2: listen[0].auth.users: is of no use without TLS, because passwords are not taken in "
       "plaintext; set tls.mode"},
      {"listen:\n  - auth:\n      required: true",
       "line 3: listen[0].auth.required: needs users to authenticate; name their file in users"},
      {"listen: [{allow_certificates: "
       "[\"2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\"]}]",
       "line 1: listen[0].allow_certificates: is of no use without TLS, which shows certificates; "
       "set tls.mode"},
      {"listen:\n  - tls: {mode: starttls, certificate: /etc/c.pem}\n    allow_certificates: "
       "[\"*\"]",
       "line 3: listen[0].allow_certificates[0]: \"*\" is proved by nobody; set tls.client_ca, or "
       "write the certificate's SHA-256 fingerprint"},
      {"listen: [{allow_certificates: [a..b]}]",
       "line 1: listen[0].allow_certificates[0]: \"a..b\" is neither a SHA-256 fingerprint (64 "
       "hexadecimal digits) nor a host name, nor \"*\" for every certificate of tls.client_ca"},
      {"delivery: {ipv6: yes}", "line 1: delivery.ipv6: \"yes\" is neither true nor false"},
      {"log: {level: loud}",
       "line 1: log.level: \"loud\" is not known; write one of error, warning, info, debug"},
      {"hostname: relay",
       "line 1: hostname: \"relay\" is no fully qualified host name; write for example "
       "relay.example.com"},
      {"hostname: 192.0.2.1",
       "line 1: hostname: \"192.0.2.1\" is no fully qualified host name; write for example "
       "relay.example.com"},
      {"hostname: -a.example.com.",
       "line 1: hostname: \"-a.example.com.\" is no fully qualified host name; write for example "
       "relay.example.com"},
      {"user: \"a b\"", "line 1: user: \"a b\" names no account; write a user, or user:group"},
      {"queue: {path: spool}",
       "line 1: queue.path: \"spool\" is no absolute path of a folder of its own; write for "
       "example "
       "/var/lib/stsrelay"},
      {"queue: {path: /}",
       "line 1: queue.path: \"/\" is no absolute path of a folder of its own; write for example "
       "/var/lib/stsrelay"},
      {"control: {socket: sock}",
       "line 1: control.socket: \"sock\" is no absolute path; it must begin with /"},
      {"queue: {retry: []}",
       "line 1: queue.retry: must end with a wait of at least 100ms, because the last one repeats"},
      {"queue: {retry: [1m, 0]}",
       "line 1: queue.retry: must end with a wait of at least 100ms, because the last one repeats"},
      {"queue:\n  retry: [1m,\n    soon]",
       "line 3: queue.retry[1]: \"soon\" is no duration up to 30d; write for example 30s, 5m, 4h "
       "or 4d"},
      {"queue: {retry: [soon]}",
       "line 1: queue.retry[0]: \"soon\" is no duration up to 30d; write for example 30s, 5m, 4h "
       "or 4d"},
      {"queue: {retry: [0, [1m]]}",
       "line 1: queue.retry[1]: must be a single value, not a list or a section"},
      {"queue: {retry: [1m, 31d]}",
       "line 1: queue.retry[1]: \"31d\" is no duration up to 30d; write for example 30s, 5m, 4h "
       "or 4d"},
      {"limits:\n  soft_errors: 30\n  hard_errors: 20",
       "line 3: limits.hard_errors: 20 is below limits.soft_errors (30); it must not be smaller"},
      {"routes:\n  - match: example.com",
       "line 2: routes[0]: needs exactly one of mx (a domain whose MX records name the hosts), "
       "host (one host, no MX lookup) and upstreams (hosts with ports, TLS and credentials)"},
      {"routes:\n  - {match: example.com, mx: a.example, host: b.example}",
       "line 2: routes[0]: needs exactly one of mx (a domain whose MX records name the hosts), "
       "host (one host, no MX lookup) and upstreams (hosts with ports, TLS and credentials)"},
      {"routes:\n  - mx: a.example",
       "line 2: routes[0]: has neither match nor sender nor listener; write for example "
       "match: example.com, or match: \"*\" for all mail"},
      {"routes:\n  - {match: \"*\", mx: a.example}\n  - {match: b.example, mx: a.example}",
       "line 3: routes[1].match: \"b.example\" is never reached: the earlier route for \"*\" "
       "matches all of it; put this one first or remove it"},
      {"routes: [{match: \"*.Example\", mx: a.test}, {match: example, mx: a.test},\n"
       " {match: \"*.b.exaMple\", mx: a.test}]",
       "line 2: routes[2].match: \"*.b.example\" is never reached: the earlier route for "
       "\"*.example\" matches all of it; put this one first or remove it"},
      {"routes: [{match: \"*.b.example\", mx: a.test}, {match: a.b.example, mx: a.test}]",
       "line 1: routes[1].match: \"a.b.example\" is never reached: the earlier route for "
       "\"*.b.example\" matches all of it; put this one first or remove it"},
      {"routes: [{match: b.example, mx: a.test}, {match: B.example, mx: a.test}]",
       "line 1: routes[1].match: \"b.example\" is never reached: the earlier route for "
       "\"b.example\" matches all of it; put this one first or remove it"},
      {"routes: [{match: a.example, host: 010.0.0.1}]",
       "line 1: routes[0].host: \"010.0.0.1\" is no host; write a host name, or an IP address "
       "without brackets and port"},
      {"hostname: relay.010",
       "line 1: hostname: \"relay.010\" is no fully qualified host name; write for example "
       "relay.example.com"},
      {"routes: [{match: \"mail.*.example\", mx: a.example}]",
       "line 1: routes[0].match: \"mail.*.example\" matches no domain; write example.com, "
       "*.example.com or * (internationalised names in their xn-- form, without a trailing dot)"},
      {"routes: [{match: bücher.example, mx: a.example}]",
       "line 1: routes[0].match: \"bücher.example\" matches no domain; write example.com, "
       "*.example.com or * (internationalised names in their xn-- form, without a trailing dot)"},
      {"routes: [{match: a.example, host: \"[::1]:25\"}]",
       "line 1: routes[0].host: \"[::1]:25\" is no host; write a host name, or an IP address "
       "without brackets and port"},
      {"workers: 1\n---\nworkers: 2",
       "line 2: is not part of the document that ends before; is \"---\" or a bracket or quote too "
       "much?"},
      {"{workers: 1}\n\n}", "line 3: is not well-formed YAML: illegal flow end"},
      {"\"m\",.net}, {matcho\"~ $x '",
       "line 1: is not part of the document that ends before; is \"---\" or a bracket or quote too "
       "much?"},
      {"workers: 1\nuser: \"\xff\"", "line 2: is no UTF-8 text; save the file as UTF-8"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.yaml);
    const auto errors = refused(row.yaml);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].text() == row.text);
  }
}

TEST_CASE("a key's line is that of the nearest one that is written") {
  const char* yaml = "listen:\n  - address: 127.0.0.1\n    tls:\n      mode: none\n";
  CHECK(conf::line_of(yaml, "listen[0].tls.mode") == 4);
  CHECK(conf::line_of(yaml, "listen[0].tls.certificate") == 3);
  CHECK(conf::line_of(yaml, "listen[1].address") == 1);
  CHECK(conf::line_of("{", "listen") == 0);
}

TEST_CASE("malformed YAML is refused with its line") {
  struct Row {
    const char* yaml;
    std::size_t line;
  };
  for (const Row& row : std::vector<Row>{{"workers: 1\nlimits: {a: 1\n", 3},
                                         {"workers: 1\n\tuser: x\n", 2},
                                         {"a: b: c", 1},
                                         {"user: *nobody", 1},
                                         {"user: \"open", 1}}) {
    CAPTURE(row.yaml);
    const auto errors = refused(row.yaml);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].line == row.line);
    CHECK(errors[0].reason.find("is not well-formed YAML") == 0);
  }
  CHECK(refused("limits:\n\trecipients: 5")[0].reason.find("not with tabs") != std::string::npos);
}

TEST_CASE("all errors are reported at once, by line") {
  const auto errors =
      refused("limits: {recipients: 1}\nwrkers: 1\nqueue:\n  lifetime: x\nworkers: x\n");
  REQUIRE(errors.size() == 4);
  CHECK(errors[0].key == "limits.recipients");
  CHECK(errors[1].key == "wrkers");
  CHECK(errors[2].key == "queue.lifetime");
  CHECK(errors[3].key == "workers");
}

TEST_CASE("an open relay is refused") {
  struct Row {
    const char* networks;
    const char* key;  // "" if it is none
  };
  std::string halves;  // 64.0.0.0/8 … 192.0.0.0/8: 129 networks
  for (int i = 64; i <= 192; ++i) {
    halves += fmt::format("{}{}.0.0.0/8", i == 64 ? "" : ", ", i);
  }
  const std::vector<Row> rows{
      {"0.0.0.0/0", "listen[0].allow_networks[0]"},
      {"10.0.0.0/8, \"::/0\"", "listen[0].allow_networks[1]"},
      {"0.0.0.0/1, 128.0.0.0/1", "listen[0].allow_networks[0]"},
      {"8.0.0.0/7", "listen[0].allow_networks[0]"},
      {"\"::ffff:0:0/96\"", "listen[0].allow_networks[0]"},
      {"\"2000::/3\"", "listen[0].allow_networks[0]"},
      {"\"2000::/15\"", "listen[0].allow_networks[0]"},
      {halves.c_str(), "listen[0].allow_networks"},
      {"8.0.0.0/8", ""},
      {"8.0.0.0/8, 8.0.0.0/9, 8.0.0.0/8", ""},
      {"\"fc00::/7\", \"fe80::/10\"", ""},
      {"\"2001::/16\", \"2001:db8::/32\", \"2001:db8::1\"", ""},
      {"", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.networks);
    const auto errors = refused(fmt::format("listen:\n  - allow_networks: [{}]\n", row.networks));
    if (*row.key == '\0') {
      CHECK(errors.empty());
      continue;
    }
    REQUIRE_FALSE(errors.empty());
    CHECK(errors[0].line == 2);
    CHECK(errors[0].key == row.key);
    CHECK(errors[0].reason.find("would make an open relay") != std::string::npos);
    CHECK(errors[0].reason.find("list only the networks of your own clients") != std::string::npos);
  }
}

TEST_CASE("a control socket path that the system cannot hold is refused where it was given") {
  const std::string deep = "/" + std::string(100, 'q');
  struct Row {
    std::string yaml, key;
    std::size_t line;
  };
  for (const Row& row :
       std::vector<Row>{{"queue:\n  path: " + deep, "queue.path", 2},
                        {"control:\n  socket: " + deep + "qqqqqqq", "control.socket", 2},
                        {"queue: {path: " + deep + "}\ncontrol: {socket: " + deep + "/sock.ctl}",
                         "control.socket", 2}}) {
    CAPTURE(row.yaml);
    const auto errors = refused(row.yaml);
    REQUIRE(errors.size() == 1);
    CHECK(errors[0].key == row.key);
    CHECK(errors[0].line == row.line);
    CHECK(errors[0].reason.find("107 octets") != std::string::npos);
  }
  CHECK(refused("queue: {path: " + deep + "}\ncontrol: {socket: /run/stsrelay.sock}").empty());
}

TEST_CASE("a configuration is written so that older YAML readers understand it too") {
  conf::Config config;
  config.listen.emplace_back().allow_networks = {*conf::Network::parse("::1/128"),
                                                 *conf::Network::parse("10.0.0.0/8")};
  CHECK(conf::to_yaml(config).find("[\"::1/128\", 10.0.0.0/8]") != std::string::npos);
}

TEST_CASE("a configuration that is written and read again is the same") {
  const std::vector<std::string> yamls{
      "",
      "test_world: {}",
      "listen: [{address: \"[::1]:25\", allow_networks: []}]",
      "queue: {path: '/with space/\"quote\" # ü', retry: [0, 250ms]}\nuser: \"null\"",
      "routes: [{match: \"*.a.example\", mx: b.example}, {match: '*', host: 2001:db8::1}]",
      "hostname: relay.example\nlog: {level: error, format: json}\nlimits: {minimum_data_rate: 0}"};
  for (const std::string& yaml : yamls) {
    CAPTURE(yaml);
    const conf::Config config = parsed(yaml);
    CHECK(parsed(conf::to_yaml(config)) == config);
  }
}

TEST_CASE("anchors and aliases are read as what they stand for") {
  const conf::Config config = parsed(
      "listen:\n  - {address: 127.0.0.1, allow_networks: &own [192.0.2.0/24]}\n"
      "  - {address: 127.0.0.2, allow_networks: *own}\n");
  CHECK(config.listen[0].allow_networks == config.listen[1].allow_networks);
  CHECK_FALSE(refused("listen: &x [*x]").empty());
}

}  // namespace
