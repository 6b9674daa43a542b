#include "conf/routes.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "conf/config.h"

namespace {

std::vector<std::string> faults(const std::string& yaml) {
  std::vector<std::string> texts;
  const auto config = conf::parse(yaml);
  if (!config) {
    for (const conf::ConfigError& error : config.error()) {
      texts.push_back(error.key + ": " + error.reason);
    }
  }
  return texts;
}

std::string with_auth(const std::string& upstream, const std::string& auth) {
  return "routes:\n  - match: \"*\"\n    upstreams: [{" + upstream + ", auth: {" + auth + "}}]\n";
}

}  // namespace

TEST_CASE("upstreams: what is written is read, and what is not has its default") {
  const auto config = conf::parse(R"(
routes:
  - sender: App@Example.ORG
    upstreams:
      - {host: Smtp.Provider.Example, auth: {user: App, password_file: /etc/p}}
      - {host: smtp.other.example, port: 465, level: encrypt}
      - host: 192.0.2.1
        tls: implicit
        auth:
          user: x
          send_over: encrypted
          oauth2: {token_url: "https://login.example:444/t", client_id: i, client_secret_file: /s, scope: a b}
    helo: Out.Example.org
    source_ipv4: 192.0.2.1
    source_ipv6: 2001:db8::1
)");
  REQUIRE(config);
  const conf::Route& route = config->routes.at(0);
  CHECK(route.sender == "App@example.org");
  CHECK(route.helo == "out.example.org");
  REQUIRE(route.upstreams.size() == 3);
  CHECK(route.upstreams[0].host == "smtp.provider.example");
  CHECK(route.upstreams[0].port == 587);
  CHECK(route.upstreams[0].effective_tls() == conf::Upstream::Tls::starttls);
  CHECK(route.upstreams[0].auth->user == "App");
  CHECK(route.upstreams[0].auth->send_over == conf::UpstreamAuth::SendOver::verified);
  CHECK(route.upstreams[1].effective_tls() == conf::Upstream::Tls::implicit);
  CHECK(route.upstreams[1].level == conf::TlsLevel::encrypt);
  CHECK(route.upstreams[2].auth->oauth2->scope == "a b");
  const auto again = conf::parse(conf::to_yaml(*config));
  REQUIRE(again);
  CHECK(*again == *config);
}

TEST_CASE("upstreams: contradictions, and credentials that strangers could see, are errors") {
  struct Row {
    std::string yaml;
    std::string text;
  };
  const std::vector<Row> rows{
      {with_auth("host: a.example", "user: u"),
       "routes[0].upstreams[0].auth: needs exactly one of password_file and oauth2"},
      {with_auth("host: a.example",
                 "user: u, password_file: /p, oauth2: {token_url: "
                 "\"https://l.example/\", client_id: i, client_secret_file: /s}"),
       "routes[0].upstreams[0].auth: needs exactly one of password_file and oauth2"},
      {with_auth("host: a.example", "password_file: /p"),
       "routes[0].upstreams[0].auth.user: is not given; name the account at the upstream"},
      {with_auth("host: 192.0.2.1", "user: u, password_file: /p"),
       "routes[0].upstreams[0].host: 192.0.2.1 is an address, whose certificate proves no name, "
       "and credentials are sent to a verified host only; write its name, or say in "
       "auth.send_over what else will do"},
      {with_auth("host: a.example, level: none", "user: u, password_file: /p"),
       "routes[0].upstreams[0].level: is none, but credentials would then go in plaintext; remove "
       "it, or set auth.send_over: plaintext if everybody on the way may read them"},
      {"routes: [{match: \"*\", upstreams: [{host: a.example, level: none, port: 465}]}]",
       "routes[0].upstreams[0].level: is none, but tls is implicit; remove one of the two"},
      {"routes: [{match: \"*\", upstreams: [{port: 465}]}]",
       "routes[0].upstreams[0].host: is not given; write the upstream's name"},
      {"routes: [{sender: \"@\", host: a.example}]",
       "routes[0].sender: \"@\" is no sender; write an address, example.org, or *.example.org for "
       "all domains below it"},
      {"routes: [{match: \"*\", host: a.example, source_ipv4: \"::1\"}]",
       "routes[0].source_ipv4: \"::1\" is no IPv4 address; write for example 192.0.2.1"},
      {with_auth("host: a.example", "user: u, oauth2: {token_url: \"http://l.example/\"}"),
       "routes[0].upstreams[0].auth.oauth2.token_url: \"http://l.example/\" is no URL of a token "
       "endpoint; write for example https://login.example.com/oauth2/token"},
      {"routes:\n"
       "  - {match: a.example, upstreams: [{host: h.example, auth: {user: u, password_file: "
       "/p}}]}\n"
       "  - {match: b.example, upstreams: [{host: h.example, auth: {user: u, password_file: /q}}]}",
       "routes[1].upstreams[0].auth: differs from what another route says of the account u at "
       "h.example; write the same in both"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.yaml);
    const auto found = faults(row.yaml);
    REQUIRE_FALSE(found.empty());
    CHECK(found.front() == row.text);
  }
}

TEST_CASE("a route by sender hides only what it covers") {
  CHECK(faults("routes: [{sender: example.org, host: a.example}, {match: \"*\", host: b.example}]")
            .empty());
  CHECK(faults("routes: [{sender: a@example.org, host: a.example},\n"
               " {sender: example.org, host: b.example}]")
            .empty());
  for (const std::string later :
       {"sender: a@example.org", "sender: example.org, match: x.example"}) {
    CAPTURE(later);
    CHECK(
        faults("routes: [{sender: example.org, host: a.example}, {" + later + ", host: b.example}]")
            .size() == 1);
  }
  CHECK(faults("routes: [{match: \"*\", host: a.example}, {sender: b.example, host: b.example}]")
            .size() == 1);
}

TEST_CASE("a route by a listener needs one of this file, written in any way that means it") {
  const std::string listen =
      "listen: [{address: 127.0.0.1}, {address: \"[::1]:2525\"}, {address: "
      "\"unix:/run/s.sock\"}]\n";
  struct Row {
    std::string written, listener;
  };
  for (const Row& row : std::vector<Row>{{"127.0.0.1", "127.0.0.1:25"},
                                         {"127.0.0.1:25", "127.0.0.1:25"},
                                         {"[::ffff:127.0.0.1]", "127.0.0.1:25"},
                                         {"[0:0::1]:2525", "[::1]:2525"},
                                         {"unix:/run/s.sock", "unix:/run/s.sock"}}) {
    CAPTURE(row.written);
    const auto config =
        conf::parse(listen + "routes: [{listener: \"" + row.written + "\", host: a.example}]");
    REQUIRE(config);
    CHECK(config->routes.at(0).listener == row.listener);
    CHECK(conf::parse(conf::to_yaml(*config)) == config);
  }
  for (const std::string other : {"127.0.0.1:2525", "[::1]", "unix:/run/other.sock"}) {
    CAPTURE(other);
    const auto found = faults(listen +
                              "routes: [{match: a.example, host: a.example}, {match: b.example, "
                              "listener: \"" +
                              other + "\", host: b.example}]");
    REQUIRE(found.size() == 1);
    CHECK(found[0].starts_with("routes[1].listener: \"" + other));
    CHECK(
        found[0].ends_with("is no listener of this file; write one of those in listen: "
                           "127.0.0.1:25, [::1]:2525, unix:/run/s.sock"));
  }
  CHECK(faults(listen + "routes: [{listener: submission, host: a.example}]") ==
        std::vector<std::string>{
            "routes[0].listener: \"submission\" is no address of a listener; write one as it "
            "stands in listen, for example 192.0.2.1:25 or unix:/run/stsrelay/smtp.sock"});
}

TEST_CASE("a route by a listener hides only what it covers") {
  const auto after = [](const std::string& earlier, const std::string& later) {
    return faults("listen: [{address: 127.0.0.1:25}, {address: 127.0.0.1:26}]\nroutes: [{" +
                  earlier + ", host: a.example}, {" + later + ", host: b.example}]");
  };
  const std::string one = "listener: 127.0.0.1:25";
  const std::string other = "listener: 127.0.0.1:26";
  CHECK(after(one, other).empty());
  CHECK(after(one, "match: \"*\"").empty());
  CHECK(after(one + ", match: a.example", one).empty());
  CHECK(after(one + ", sender: a.example", one).empty());
  CHECK(after(one + ", match: a.example", other + ", match: a.example").empty());
  CHECK(after(one, one + ", match: a.example") ==
        std::vector<std::string>{
            "routes[1].match: \"a.example and 127.0.0.1:25\" is never reached: the earlier route "
            "for \"127.0.0.1:25\" matches all of it; put this one first or remove it"});
  CHECK(after(one, one + ", sender: a.example").size() == 1);
  CHECK(after("match: \"*\"", one) ==
        std::vector<std::string>{
            "routes[1].listener: \"127.0.0.1:25\" is never reached: the earlier route for \"*\" "
            "matches all of it; put this one first or remove it"});
}

TEST_CASE("rates and keys of relayed mail: what is written is read, what is wrong is named") {
  const auto config = conf::parse(R"(
delivery: {domains: {a.example: {connections: 5, rate: 100/h, ipv6: false}}}
routes: [{match: "*", host: b.example, rate: 5/s}]
dkim: [{domain: Example.ORG, selector: S1, key_file: /k}]
)");
  REQUIRE(config);
  const conf::DestinationRule& rule = config->delivery.domains.at("a.example");
  CHECK(rule.connections == 5);
  CHECK(rule.ipv6 == conf::DestinationRule::Ipv6::no);
  CHECK(conf::parse_rate(rule.rate)->count == 100);
  CHECK(conf::parse_rate(rule.rate)->per == std::chrono::hours(1));
  CHECK(config->dkim.at(0).domain == "example.org");
  CHECK(conf::parse(conf::to_yaml(*config)) == config);

  for (const char* const wrong :
       {"100", "0/h", "/h", "5/", "5/x", "-5/h", "5/2", "5/ms", "5 /h", "5/30m"}) {
    CAPTURE(wrong);
    CHECK_FALSE(conf::parse_rate(wrong));
  }
  CHECK(faults("routes: [{match: \"*\", host: b.example, rate: often}]") ==
        std::vector<std::string>{"routes[0].rate: \"often\" is no rate; write for example 5/s, "
                                 "100/m, 1000/h or 20000/d"});
  CHECK(faults("dkim: [{domain: a.example, selector: s}]") ==
        std::vector<std::string>{
            "dkim[0]: needs domain (of the senders in From), selector and key_file"});
}

TEST_CASE("reply rules: one's own take the place of the shipped ones") {
  CHECK(conf::parse("")->delivery.reply_rules.size() == 2);
  const auto config = conf::parse(
      "delivery: {reply_rules: [{host: \"*.Example\", code: 550, status: 5.7.1, text: \"a b|c\", "
      "action: defer}]}");
  REQUIRE(config);
  const conf::ReplyRule& rule = config->delivery.reply_rules.at(0);
  CHECK(rule.host == "*.example");
  CHECK(rule.action == conf::ReplyRule::Action::defer);
  for (const char* const wrong : {"code: 250", "code: 4x", "code: 4210", "status: 2.0.0",
                                  "status: 5.", "status: 5.7.1.1", "host: \"a b\""}) {
    CAPTURE(wrong);
    CHECK(faults("delivery: {reply_rules: [{" + std::string(wrong) + "}]}").size() == 1);
  }
}
