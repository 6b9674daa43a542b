// What a listener says of its socket, its clients and their mail.
#include "conf/listener.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "conf/config.h"

namespace {

TEST_CASE("a listener may be a UNIX socket") {
  const auto config = conf::parse(
      "listen: [{address: 'unix:/run/smtp.sock', socket: {mode: '660', owner: 'root:mail'}}]");
  REQUIRE(config);
  const conf::Listener& listener = config->listen[0];
  CHECK(listener.address.is_unix());
  CHECK(listener.address.path == "/run/smtp.sock");
  CHECK(listener.address.text() == "unix:/run/smtp.sock");
  CHECK(listener.socket == conf::ListenerSocket{"660", "root:mail"});
  CHECK(conf::parse(conf::to_yaml(*config))->listen == config->listen);
}

TEST_CASE("filters, rules of clients and rewrites are read, and written again") {
  const auto config = conf::parse(R"(
listen:
  - proxy_protocol: [192.0.2.1]
    senders: {allow: [Alice@Example.COM, "*.example.com", "<>"], deny: [x.example.com]}
    recipients: {deny: [example.net]}
    client_rules:
      - users: [app, "uid:1000"]
        senders: {allow: [app@example.com]}
      - networks: [192.0.2.0/24]
        recipients: {allow: [example.com]}
    rewrite_senders:
      - {match: root@Host, to: Ops@Example.com}
      - {match: "*.Local", to: "@Example.com"}
    add_missing_headers: false
    hide_client: true
)");
  REQUIRE(config);
  const conf::Listener& listener = config->listen[0];
  CHECK(listener.proxy_protocol.at(0).text() == "192.0.2.1/32");
  CHECK(listener.senders.allow ==
        std::vector<std::string>{"alice@example.com", "*.example.com", "<>"});
  CHECK(listener.senders.deny == std::vector<std::string>{"x.example.com"});
  CHECK(listener.recipients.deny == std::vector<std::string>{"example.net"});
  REQUIRE(listener.client_rules.size() == 2);
  CHECK(listener.client_rules[0].users == std::vector<std::string>{"app", "uid:1000"});
  CHECK(listener.client_rules[1].networks.at(0).text() == "192.0.2.0/24");
  REQUIRE(listener.rewrite_senders.size() == 2);
  CHECK(listener.rewrite_senders[0] == conf::SenderRewrite{"root@host", "Ops@example.com"});
  CHECK(listener.rewrite_senders[1] == conf::SenderRewrite{"*.local", "@example.com"});
  CHECK_FALSE(listener.add_missing_headers);
  CHECK(listener.hide_client);
  CHECK(conf::parse(conf::to_yaml(*config))->listen == config->listen);
}

TEST_CASE("limits of clients are read, and written again") {
  const auto config = conf::parse(R"(
listen:
  - limits: {messages: 100/h, connections: 5}
    client_rules:
      - users: [app]
        limits: {recipients: 5000/d, over: refuse}
      - networks: [192.0.2.0/24]
        limits: {messages: "", connections: 0}
)");
  REQUIRE(config);
  const conf::Listener& listener = config->listen[0];
  using Over = conf::ClientLimits::Over;
  CHECK(listener.limits == conf::ClientLimits{5, "100/h", "", Over::hold});
  CHECK(listener.client_rules[0].limits ==
        conf::ClientLimits{std::nullopt, std::nullopt, "5000/d", Over::refuse});
  CHECK(listener.client_rules[1].limits == conf::ClientLimits{0, "", std::nullopt, std::nullopt});
  CHECK(conf::parse(conf::to_yaml(*config))->listen == config->listen);
}

TEST_CASE("what makes no sense at a listener is refused with its remedy") {
  struct Row {
    std::string yaml, error;
  };
  const std::string tail = ", or unix:/path of a socket";
  const std::vector<Row> rows{
      {"[{address: 'unix:run/a'}]",
       "listen[0].address: \"unix:run/a\" is no IP address with a port; write for example "
       "192.0.2.1:25 or \"[2001:db8::1]:25\" (port 25 may be left out)" +
           tail},
      {"[{address: 'unix:/'}]",
       "listen[0].address: \"unix:/\" is no IP address with a port; write for example "
       "192.0.2.1:25 or \"[2001:db8::1]:25\" (port 25 may be left out)" +
           tail},
      {"[{address: 'unix:/" + std::string(107, 'a') + "'}]",
       "listen[0].address: /" + std::string(107, 'a') +
           " is longer than the 107 octets that a socket's path may have; write a shorter one"},
      {"[{address: 'unix:/run/a'}, {address: 'unix:/run/a'}]",
       "listen[1].address: unix:/run/a is listened on already; remove one of the two"},
      {"[{limits: {messages: 100}}]",
       "listen[0].limits.messages: \"100\" is no rate; write for example 5/s, 100/m, 1000/h or "
       "20000/d"},
      {"[{limits: {over: drop}}]",
       "listen[0].limits.over: \"drop\" is not known; write one of hold, refuse"},
      {"[{limits: {over: refuse}}]",
       "listen[0].limits.over: is of no use without a rate that mail can be over; set messages or "
       "recipients beside it, for example messages: 100/h"},
      {"[{client_rules: [{users: [a], limits: {over: hold}}]}]",
       "listen[0].client_rules[0].limits.over: is of no use without a rate that mail can be over; "
       "set messages or recipients beside it, for example messages: 100/h"},
      {"[{socket: {mode: '0600'}}]",
       "listen[0].socket: is for a UNIX socket only; set address: unix:/path, or remove this"},
      {"[{address: 'unix:/run/a', socket: {mode: rw}}]",
       "listen[0].socket.mode: \"rw\" is no file mode; write three octal digits, for example "
       "\"0660\""},
      {"[{address: 'unix:/run/a', proxy_protocol: [192.0.2.1]}]",
       "listen[0].proxy_protocol: is of no use on a UNIX socket, whose clients the system vouches "
       "for; remove it"},
      {"[{address: 'unix:/run/a', tls: {mode: starttls, certificate: /a.pem}}]",
       "listen[0].tls: is of no use on a UNIX socket, whose clients the system vouches for; remove "
       "it"},
      {"[{senders: {allow: [a b]}}]",
       "listen[0].senders.allow[0]: \"a b\" is no address; write user@example.com, example.com, "
       "*.example.com (all below it), or <> for the null sender of notices"},
      {"[{recipients: {allow: ['<>']}}]",
       "listen[0].recipients.allow[0]: \"<>\" is no address; write user@example.com, example.com "
       "or *.example.com (all below it)"},
      {"[{client_rules: [{senders: {deny: [a.example]}}]}]",
       "listen[0].client_rules[0]: names no client; list some in users or networks, or write the "
       "filters and limits beside address, where they are for all clients"},
      {"[{rewrite_senders: [{to: a@b.example}]}]",
       "listen[0].rewrite_senders[0]: has no match; write for example match: host.local, to: "
       "\"@example.com\""},
      {"[{rewrite_senders: [{match: host, to: nobody}]}]",
       "listen[0].rewrite_senders[0].to: \"nobody\" is no sender; write user@example.com, or "
       "@example.com to keep what stands before the @"},
      {"[{rewrite_senders: [{match: '<>', to: a@b.example}]}]",
       "listen[0].rewrite_senders[0].match: \"<>\" is no sender; write user@example.com, "
       "example.com or *.example.com (all below it)"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.yaml);
    const auto config = conf::parse("listen: " + row.yaml);
    REQUIRE_FALSE(config);
    REQUIRE(config.error().size() == 1);
    CHECK(config.error()[0].text() == "line 1: " + row.error);
  }
}

}  // namespace
