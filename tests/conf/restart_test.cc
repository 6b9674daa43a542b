#include "conf/restart.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

TEST_CASE("what is bound, opened or started once needs a restart, all else does not") {
  struct Row {
    const char* yaml;
    std::vector<std::string> keys;
  };
  const std::vector<Row> rows{
      {"", {}},
      {"user: mail", {"user"}},
      {"workers: 3", {"workers"}},
      {"listen: [{address: 127.0.0.2}]", {"listen"}},
      {"listen: [{address: 127.0.0.1}, {address: 127.0.0.2}]", {"listen"}},
      {"listen: [{allow_networks: [192.0.2.0/24]}]", {}},
      {"listen: [{hide_client: true, proxy_protocol: [192.0.2.1], senders: {deny: [a.example]}}]",
       {}},
      {"listen: [{address: 'unix:/run/a.sock'}]", {"listen"}},
      {"queue: {path: /srv/queue}", {"queue.path", "control.socket"}},
      {"queue: {min_free: 1GiB, lifetime: 1d, retry: [1m]}", {"queue.min_free"}},
      {"sts: {cache_entries: 7}", {"sts"}},
      {"dns: {resolvers: [127.0.0.1]}", {"dns"}},
      {"tls_policy: {default: verify, revocation: off, domains: {a.example: {level: encrypt}}}",
       {}},
      {"reports: {contact: tls@a.example, window: 1h}", {}},
      {"control: {socket: /run/stsrelay.sock}", {"control.socket"}},
      {"log: {format: postfix, syslog_name: out}", {"log.syslog_name"}},
      {"log: {trace_memory: 0}", {"log.trace_memory"}},
      {"metrics: {}", {"metrics"}},
      {"events: {to: /run/events.sock}", {"events"}},
      {"notices: {postmaster: post@a.example}\nqueue: {warn_after: 1h}", {}},
      {"test_world: {}", {"test_world"}},
      {"routes: [{match: '*', host: b.example}]", {"routes"}},
      {"hostname: a.example\nlog: {level: debug}", {}},
      {"hostname: a.example\nstaging: {confirm: a.example, sink: true}", {"staging"}},
      {"limits: {connections: 7}\ndelivery: {ipv6: false}", {}},
  };
  const conf::Config old = *conf::parse("");
  for (const Row& row : rows) {
    CAPTURE(row.yaml);
    const auto now = conf::parse(row.yaml);
    REQUIRE(now);
    CHECK(conf::settings_needing_restart(old, *now) == row.keys);
    CHECK(conf::settings_needing_restart(*now, old) == row.keys);
  }
}

TEST_CASE("the file of a UNIX socket stays as it was made, its rules follow a reload") {
  const conf::Config running =
      *conf::parse("listen: [{address: 'unix:/run/a.sock', socket: {mode: '0600'}}]");
  const conf::Config now = *conf::parse(
      "listen: [{address: 'unix:/run/a.sock', socket: {mode: '0660'}, hide_client: true}]");
  CHECK(conf::settings_needing_restart(running, now) == std::vector<std::string>{"listen"});
  const conf::Config result = conf::reloaded(running, now);
  CHECK(result.listen[0].socket.mode == "0600");
  CHECK(result.listen[0].hide_client);
}

TEST_CASE("a reload leaves what needs a restart as it runs, and so names it each time") {
  const conf::Config running = *conf::parse(R"(
listen: [{address: 127.0.0.1}, {address: 127.0.0.2, allow_networks: [192.0.2.0/24]}]
routes: [{match: a.example, host: b.example}]
)");
  const conf::Config now = *conf::parse(R"(
user: mail
workers: 3
listen: [{address: 127.0.0.3}, {address: 127.0.0.1, allow_networks: [198.51.100.0/24]}]
routes: [{match: a.example, host: c.example}]
limits: {connections: 7}
queue: {path: /srv/queue, min_free: 1GiB, lifetime: 1d}
sts: {cache_entries: 7}
dns: {rounds: 1}
log: {level: debug}
test_world: {smtp_port: 2525, ca_file: /srv/ca.pem}
)");
  const conf::Config first = conf::reloaded(running, now);
  CHECK(conf::settings_needing_restart(running, first).empty());
  CHECK(conf::settings_needing_restart(first, now) == conf::settings_needing_restart(running, now));
  CHECK(conf::settings_needing_restart(running, now).size() == 10);
  CHECK(conf::reloaded(first, now) == first);

  CHECK(first.routes == running.routes);
  CHECK(first.workers == running.workers);
  CHECK(first.queue.path == running.queue.path);
  CHECK_FALSE(first.test_world);
  CHECK(first.limits.connections == 7);
  CHECK(first.queue.lifetime == std::chrono::hours(24));
  CHECK(first.log.level == conf::LogLevel::debug);
  REQUIRE(first.listen.size() == 2);
  CHECK(first.listen[0].address.ip == "127.0.0.1");
  CHECK(first.listen[0].allow_networks == now.listen[1].allow_networks);
  CHECK(first.listen[1] == running.listen[1]);
}

TEST_CASE("a reload changes what mail in staging meets with, and not where it goes") {
  const std::string head = "hostname: a.example\nstaging: {confirm: a.example, ";
  const conf::Config running = *conf::parse(head + "redirect_to: qa@b.example}");
  const conf::Config faults = *conf::parse(
      head +
      "redirect_to: qa@b.example, soft_bounce: true, faults: [{recipient: a@*, delay: 1s}]}");
  CHECK(conf::settings_needing_restart(running, faults).empty());
  CHECK(conf::reloaded(running, faults) == faults);
  for (const std::string& yaml :
       {head + "redirect_to: other@b.example}", head + "dry_run: true}", std::string("{}")}) {
    CAPTURE(yaml);
    const conf::Config now = *conf::parse(yaml);
    CHECK(conf::settings_needing_restart(running, now) == std::vector<std::string>{"staging"});
    CHECK(conf::reloaded(running, now).staging == running.staging);
  }
}

}  // namespace
