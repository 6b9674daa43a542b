#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "conf/config.h"

namespace {

std::string fault(const std::string& yaml) {
  const auto config = conf::parse(yaml);
  return config ? "" : config.error().front().text();
}

TEST_CASE("notices and events are read into their settings") {
  const auto config = conf::parse(R"(
queue: {warn_after: 0}
notices: {return_size: 1MiB, delayed_for_bulk: true, postmaster: Post@A.Example, per_hour: 5}
log: {format: postfix, syslog_name: postfix-out, postfix_tls: true, trace_memory: 0}
events: {to: "https://hooks.example.com:8443/mail", token_file: /etc/token, queue: 500}
)");
  REQUIRE(config);
  CHECK(config->queue.warn_after == conf::Duration(0));
  CHECK(config->notices.return_size == 1 << 20);
  CHECK(config->notices.delayed_for_bulk);
  CHECK(config->notices.postmaster == "Post@a.example");
  CHECK(config->notices.per_hour == 5);
  CHECK(config->log.format == conf::Logging::Format::postfix);
  CHECK(config->log.syslog_name == "postfix-out");
  CHECK(config->log.postfix_tls);
  CHECK(config->log.trace_memory == 0);
  REQUIRE(config->events);
  CHECK(config->events->by_web());
  CHECK(config->events->queue == 500);
  CHECK(conf::parse(conf::to_yaml(*config)) == *config);
}

TEST_CASE("senders are told of a delay after four hours, programs of nothing, unless said else") {
  const conf::Config config = *conf::parse("");
  CHECK(config.queue.warn_after == std::chrono::hours(4));
  CHECK(config.notices.postmaster.empty());
  CHECK_FALSE(config.events);
  CHECK_FALSE(conf::parse("events: {to: /run/events.sock}")->events->by_web());
}

TEST_CASE("what is wrong with notices and events, where, and how to mend it") {
  struct Row {
    const char *yaml, *error;
  };
  const std::vector<Row> rows{
      {"notices: {postmaster: me}",
       "line 1: notices.postmaster: \"me\" is no mail address; write for example "
       "tls-reports@example.com"},
      {"notices: {return_size: 1KiB}",
       "line 1: notices.return_size: \"1KiB\" is not between 4KiB and 64MiB"},
      {"queue: {warn_after: 31d}", "line 1: queue.warn_after: \"31d\" is not between 0 and 30d"},
      {"log: {format: syslog}",
       "line 1: log.format: \"syslog\" is not known; write one of logfmt, json, postfix"},
      {"log: {syslog_name: a b}",
       "line 1: log.syslog_name: \"a b\" is no name; write up to 32 letters, digits, - _ or ."},
      {"events: {queue: 100}",
       "line 1: events: has no to; name the socket or the https address where events go"},
      {"events: {to: \"http://a.example/\"}",
       "line 1: events.to: \"http://a.example/\" is neither a socket's absolute path nor an https "
       "address; write for example https://hooks.example.com/mail"},
      {"events:\n  to: /run/a.sock\n  token_file: /etc/token",
       "line 3: events.token_file: is for https only; a socket's permissions protect it"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.yaml);
    CHECK(fault(row.yaml) == row.error);
  }
}

}  // namespace
