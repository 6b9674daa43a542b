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
      {"queue: {path: /srv/queue}", {"queue.path", "control.socket"}},
      {"queue: {min_free: 1GiB, lifetime: 1d, retry: [1m]}", {"queue.min_free"}},
      {"sts: {cache_entries: 7}", {"sts"}},
      {"dns: {resolvers: [127.0.0.1]}", {"dns"}},
      {"tls_policy: {default: verify, domains: {a.example: {level: encrypt}}}", {}},
      {"control: {socket: /run/stsrelay.sock}", {"control.socket"}},
      {"test_world: {}", {"test_world"}},
      {"hostname: a.example\nroutes: [{match: '*', host: b.example}]\nlog: {level: debug}", {}},
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

}  // namespace
