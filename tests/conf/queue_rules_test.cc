#include "conf/queue_rules.h"

#include <map>
#include <string>

#include <doctest/doctest.h>

#include "conf/config.h"

namespace conf {
namespace {

TEST_CASE("the rule of a domain goes before one for all below, the nearest of these counts") {
  std::map<std::string, QueueRule> rules;
  for (const char* domain : {"a.example", "*.a.example", "*.b.a.example"}) {
    rules[domain].lifetime = std::chrono::seconds(static_cast<int>(rules.size()) + 1);
  }
  struct Row {
    const char* domain;
    const char* rule;
  };
  for (const Row& row :
       {Row{"a.example", "a.example"}, Row{"x.a.example", "*.a.example"},
        Row{"x.b.a.example", "*.b.a.example"}, Row{"b.a.example", "*.a.example"},
        Row{"other.example", nullptr}, Row{"example", nullptr}, Row{"[192.0.2.1]", nullptr}}) {
    CAPTURE(row.domain);
    const QueueRule* const found = find_rule(rules, row.domain);
    CHECK(found == (row.rule == nullptr ? nullptr : &rules.at(row.rule)));
  }
}

TEST_CASE("rules by domain and user are read, and what is none of these is named") {
  const auto config = parse(
      "queue:\n  domains:\n    Example.com: {lifetime: 2d, retry: [0, 5m]}\n"
      "    '*.example.net': {}\n  users:\n    shop@example.com: {priority: high}\n"
      "listen:\n  - {priority: bulk}\n");
  REQUIRE(config);
  CHECK(config->queue.domains.at("example.com").lifetime == std::chrono::hours(48));
  CHECK(config->queue.domains.at("example.com").retry.size() == 2);
  CHECK(config->queue.domains.at("*.example.net") == QueueRule{});
  CHECK(config->queue.users.at("shop@example.com").priority == Priority::high);
  CHECK(config->listen.at(0).priority == Priority::bulk);
  const auto again = parse(to_yaml(*config));
  REQUIRE(again);
  CHECK(*again == *config);
  struct Row {
    const char* yaml;
    const char* key;
  };
  for (const Row& row :
       {Row{"queue: {users: {'a b': {priority: high}}}", "queue.users.a b"},
        Row{"queue: {users: {a: {priority: top}}}", "queue.users.a.priority"},
        Row{"queue: {domains: {'a b': {}}}", "queue.domains.a b"},
        Row{"queue: {domains: {a.example: {retry: [0]}}}", "queue.domains.a.example.retry"}}) {
    CAPTURE(row.yaml);
    const auto wrong = parse(row.yaml);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().at(0).key == row.key);
  }
}

}  // namespace
}  // namespace conf
