#include <doctest/doctest.h>

#include "relay/delivery/credentials.h"
#include "relay/delivery/failover.h"
#include "relay/delivery/token_exchange.h"
#include "relay/delivery/upstream_states.h"
#include "tests/relay/delivery/walk.h"

namespace relay::delivery {
namespace {

using std::chrono::minutes;

std::vector<conf::Route> sender_routes() {
  conf::Route address, domain, below, rest;
  address.sender = "app@example.org";
  address.host = "one.example";
  domain.sender = "example.org";
  domain.match = "example.com";
  domain.host = "two.example";
  below.sender = "*.example.org";
  below.host = "three.example";
  rest.match = "*";
  rest.host = "four.example";
  return {address, domain, below, rest};
}

std::string host_for(const MailPath& path,
                     const std::vector<conf::Route>& routes = sender_routes()) {
  const auto found = next_hops(routes, path, 25);
  const auto& hops = std::get<std::vector<NextHop>>(found);
  return std::get<FixedHost>(hops.front().target).name.text();
}

conf::Route providers() {
  conf::Route route;
  route.match = "*";
  route.helo = "out.example";
  route.source_ipv4 = "192.0.2.1";
  conf::Upstream first;
  first.host = "smtp.one.example";
  first.auth =
      conf::UpstreamAuth{"user", "/password", std::nullopt, conf::UpstreamAuth::SendOver::verified};
  conf::Upstream second;
  second.host = "smtp.two.example";
  second.port = 465;
  route.upstreams = {first, second};
  return route;
}

NextHop provider(std::size_t n) {
  return std::get<std::vector<NextHop>>(next_hops({providers()}, {"example.net"}, 25)).at(n);
}

RecipientOutcome outcome(std::uint32_t index, Result result, Finality finality,
                         std::string text = "text") {
  RecipientOutcome made;
  made.index = index;
  made.result = result;
  made.status = result == Result::failed ? "5.0.0" : "4.0.0";
  made.finality = finality;
  made.text = std::move(text);
  return made;
}

}  // namespace

TEST_CASE("routes are chosen by the sender, too: an address, a domain, or all domains below one") {
  CHECK(host_for({"any.example", "app@EXAMPLE.org"}) == "one.example");
  CHECK(host_for({"any.example", "App@example.org"}) == "four.example");
  CHECK(host_for({"example.com", "other@example.org"}) == "two.example");
  CHECK(host_for({"example.net", "other@example.org"}) == "four.example");
  CHECK(host_for({"example.net", "x@deep.below.example.org"}) == "three.example");
  CHECK(host_for({"example.net", "x@notexample.org"}) == "four.example");
  CHECK(host_for({"example.com", ""}) == "four.example");  // a bounce is nobody's
}

TEST_CASE("routes are chosen by the listener, too, and all that a route is given must fit") {
  conf::Route all, by_sender, by_domain, by_listener, rest;
  all.match = "example.com";
  all.sender = "example.org";
  all.listener = "192.0.2.1:2525";
  all.host = "all.example";
  by_sender.sender = "example.org";
  by_sender.listener = "192.0.2.1:2525";
  by_sender.host = "sender.example";
  by_domain.match = "example.com";
  by_domain.listener = "unix:/run/s.sock";
  by_domain.host = "domain.example";
  by_listener.listener = "192.0.2.1:2525";
  by_listener.host = "listener.example";
  rest.match = "*";
  rest.host = "rest.example";
  struct Row {
    MailPath path;
    const char* host;
  };
  for (const Row& row : std::vector<Row>{
           {{"example.com", "a@example.org", "192.0.2.1:2525"}, "all.example"},
           {{"example.net", "a@example.org", "192.0.2.1:2525"}, "sender.example"},
           {{"example.com", "a@example.net", "192.0.2.1:2525"}, "listener.example"},
           {{"example.com", "a@example.org", "unix:/run/s.sock"}, "domain.example"},
           {{"example.net", "a@example.org", "unix:/run/s.sock"}, "rest.example"},
           {{"example.com", "", "192.0.2.1:2525"}, "listener.example"},  // others' bounce
           {{"example.com", "a@example.org", "192.0.2.1:25"}, "rest.example"},
           {{"example.com", "a@example.org", ""}, "rest.example"},
           {{"example.com", "", ""}, "rest.example"},  // our bounce
       }) {
    CAPTURE(row.path.domain);
    CAPTURE(row.path.sender);
    CAPTURE(row.path.listener);
    CHECK(host_for(row.path, {all, by_sender, by_domain, by_listener, rest}) == row.host);
  }
  by_listener.host = "no host";
  const auto found = next_hops({by_listener}, {"example.com", "", "192.0.2.1:2525"}, 25);
  CHECK(std::get<Undeliverable>(found).reason ==
        "the route for 192.0.2.1:2525 names the unusable next hop no host");
}

TEST_CASE("the upstreams of a route are its next hops in order, accounts apart") {
  const auto found = next_hops({providers()}, {"example.net", "a@b.example"}, 25);
  const auto& hops = std::get<std::vector<NextHop>>(found);
  REQUIRE(hops.size() == 2);
  CHECK(hops[0].key() == "host:smtp.one.example:587:user");
  CHECK(hops[1].key() == "host:smtp.two.example:465");
  CHECK(hops[0].policy_domain()->text() == "smtp.one.example");  // RFC 8461 §3.4
  CHECK(hops[1].upstream->effective_tls() == conf::Upstream::Tls::implicit);
  CHECK(hops[1].helo == "out.example");
  CHECK(hops[1].source_ipv4 == "192.0.2.1");
  CHECK(account_of(*hops[0].upstream) == "smtp.one.example:587:user");
}

TEST_CASE("an upstream that refuses our credentials makes mail wait, whatever its code") {
  for (const auto& report : std::vector<ConversationReport>{
           ended(smtp::SessionEnd::Kind::credentials, smtp::Stage::auth, verified()),
           transaction({result(smtp::Disposition::rejected, smtp::Stage::mail, 530)}),
           transaction({result(smtp::Disposition::rejected, smtp::Stage::rcpt, 535)})}) {
    Walk walk(envelope(), provider(0));
    Step step = walk.attempt.start(kNow);
    step = walk.addresses(walk.attempt.on_policy(verdict(nullptr), kNow));
    REQUIRE(host_of(step) == "smtp.one.example");
    step = walk.report(report);
    CHECK(only(step).result == Result::deferred);
    CHECK(only(step).status == "4.7.0");
    CHECK(only(step).finality == Finality::undecided);
  }
  // Elsewhere the same words are the answer of a host that mail is meant for.
  Walk walk;
  Step step = walk.to_hosts(verdict(nullptr), mx({{10, "mx.example.net"}}));
  step = walk.report(transaction({result(smtp::Disposition::rejected, smtp::Stage::mail, 530)}));
  CHECK(only(step).result == Result::failed);
}

TEST_CASE("credentials, implicit TLS and levels are demands that nothing waives") {
  const std::vector<sts::PolicyVerdict> policies{verdict(nullptr),
                                                 verdict(policy("testing", "other.example"))};
  for (const auto& in_force : policies) {
    for (const auto tls : {spool::MessageTls::normal, spool::MessageTls::optional}) {
      auto message = std::make_shared<spool::Envelope>(*envelope());
      message->tls = tls;
      Walk first(message, provider(0));
      static_cast<void>(first.attempt.start(kNow));
      const Step step = first.addresses(first.attempt.on_policy(in_force, kNow));
      REQUIRE(std::holds_alternative<Converse>(step));
      CHECK(std::get<Converse>(step).requirement.authenticates());

      Walk second(message, provider(1));
      static_cast<void>(second.attempt.start(kNow));
      const Step implicit = second.addresses(second.attempt.on_policy(in_force, kNow));
      REQUIRE(std::holds_alternative<Converse>(implicit));
      CHECK(std::get<Converse>(implicit).requirement == TlsRequirement::encrypted());
    }
  }
}

TEST_CASE("what a route asks of its upstream, as the one decision about TLS") {
  using SendOver = conf::UpstreamAuth::SendOver;
  struct Row {
    std::optional<conf::TlsLevel> level;
    std::optional<SendOver> send_over;
    conf::Upstream::Tls tls;
    TlsRequirement requirement;
  };
  using Tls = conf::Upstream::Tls;
  using conf::TlsLevel;
  const std::vector<Row> rows{
      {std::nullopt, std::nullopt, Tls::starttls, TlsRequirement::opportunistic()},
      {std::nullopt, std::nullopt, Tls::implicit, TlsRequirement::encrypted()},
      {std::nullopt, SendOver::verified, Tls::starttls, TlsRequirement::verified()},
      {TlsLevel::opportunistic, SendOver::verified, Tls::starttls, TlsRequirement::verified()},
      {TlsLevel::opportunistic, SendOver::encrypted, Tls::starttls, TlsRequirement::encrypted()},
      {std::nullopt, SendOver::plaintext, Tls::starttls, TlsRequirement::opportunistic()},
      {TlsLevel::verify, SendOver::plaintext, Tls::starttls, TlsRequirement::verified()},
      {TlsLevel::none, SendOver::plaintext, Tls::starttls, TlsRequirement::plaintext()},
      {TlsLevel::none, SendOver::verified, Tls::starttls, TlsRequirement::verified()},
      {TlsLevel::encrypt, std::nullopt, Tls::starttls, TlsRequirement::encrypted()},
  };
  for (const Row& row : rows) {
    conf::Upstream upstream;
    upstream.host = "smtp.one.example";
    upstream.level = row.level;
    upstream.tls = row.tls;
    if (row.send_over) {
      upstream.auth = conf::UpstreamAuth{"user", "/password", std::nullopt, *row.send_over};
    }
    TlsInputs inputs;
    inputs.mx = MxOrigin::route;
    inputs.upstream = &upstream;
    const HostDane none;
    const HostDecision decision = decide(inputs, &none, upstream.host);
    REQUIRE(decision.requirement);
    CAPTURE(decision.requirement->name());
    CHECK(*decision.requirement == row.requirement);
    CHECK_FALSE(explain(decision, inputs, upstream.host).empty());
    // An exemption of the host from all policies is none from this.
    auto rule = std::make_shared<LocalRule>();
    rule->purpose = LocalRule::Purpose::exemption;
    inputs.rule = rule;
    CHECK(*decide(inputs, &none, upstream.host).requirement == row.requirement);
  }
}

TEST_CASE("a host that objects to our address is asked over the other family before mail returns") {
  const auto refusal = [] {
    auto words = result(smtp::Disposition::rejected, smtp::Stage::rcpt, 550);
    words.reply = smtp::Reply{550, {"5.7.25 no PTR record"}};
    return transaction({words});
  };
  const auto at_first = [](Walk& walk) {
    Step step = walk.attempt.start(kNow);
    step = walk.attempt.on_mx(mx({{10, "mx.example.net"}}), kNow);
    step = walk.attempt.on_policy(verdict(nullptr), kNow);
    return walk.attempt.on_addresses(a({"203.0.113.5"}), a({"2001:db8::5", "2001:db8::6"}), kNow);
  };
  Walk walk;
  Step step = at_first(walk);
  CHECK(std::get<Converse>(step).address.ip() == "2001:db8::5");
  step = walk.attempt.on_conversation(refusal(), kNow);
  REQUIRE(std::holds_alternative<Converse>(step));
  CHECK(std::get<Converse>(step).address.ip() == "203.0.113.5");
  SUBCASE("and takes it") {
    step = walk.attempt.on_conversation(delivered(), kNow);
    CHECK(only(step).result == Result::delivered);
  }
  SUBCASE("and objects there, too: its word counts") {
    step = walk.attempt.on_conversation(refusal(), kNow);
    CHECK(only(step).result == Result::failed);
  }
  Walk other;
  step = at_first(other);
  step = other.attempt.on_conversation(
      transaction({result(smtp::Disposition::rejected, smtp::Stage::rcpt, 550)}), kNow);
  CHECK(only(step).result == Result::failed);
}

TEST_CASE("fail-over: recipients without the server's word go on, the others keep theirs") {
  Failover failover(envelope(3));
  Finished first;
  first.outcomes = {outcome(0, Result::delivered, Finality::decided),
                    outcome(1, Result::deferred, Finality::undecided, "first is down"),
                    outcome(2, Result::failed, Finality::decided)};
  first.sessions.resize(1);
  const auto rest = failover.next(std::move(first));
  REQUIRE(rest);
  REQUIRE(rest->recipients.size() == 1);
  CHECK(rest->recipients.front().index == 1);
  Finished second;
  second.outcomes = {outcome(1, Result::failed, Finality::undecided, "second cannot")};
  second.sessions.resize(1);
  CHECK(failover.next(std::move(second)));
  const Finished all = failover.take();
  REQUIRE(all.outcomes.size() == 3);
  CHECK(all.sessions.size() == 2);
  // It fails for good only where each of them says so.
  CHECK(all.outcomes.back().result == Result::deferred);
  CHECK(all.outcomes.back().status == "4.0.0");
  CHECK(all.outcomes.back().text == "first is down; then second cannot");

  Failover done(envelope(1));
  Finished only_one;
  only_one.outcomes = {outcome(0, Result::delivered, Finality::decided)};
  CHECK_FALSE(done.next(std::move(only_one)));
}

TEST_CASE("an upstream that refuses credentials is tried once in a while, until it takes them") {
  UpstreamStates states;
  using Change = UpstreamStates::Change;
  CHECK(states.may_try("a", kNow));
  CHECK(states.refused("a", "535 no", kNow) == Change::held);
  CHECK(states.refused("a", "535 still no", kNow) == Change::none);
  CHECK(states.held("a")->reply == "535 still no");
  CHECK(states.held("a")->since == kNow);
  CHECK_FALSE(states.may_try("a", kNow + minutes(4)));
  CHECK(states.may_try("b", kNow));
  CHECK(states.may_try("a", kNow + minutes(5)));
  CHECK_FALSE(states.may_try("a", kNow + minutes(5)));  // one at a time
  CHECK(states.all_held().size() == 1);
  CHECK(states.refusals() == 2);
  CHECK(states.accepted("a") == Change::released);
  CHECK(states.accepted("a") == Change::none);
  CHECK(states.may_try("a", kNow));
  CHECK(states.refused("a", "535 no", kNow) == Change::held);
  CHECK(states.release_all() == std::vector<std::string>{"a"});
  CHECK(states.all_held().empty());
}

TEST_CASE("a dead upstream is remembered for a while, or until it works") {
  UpstreamStates states;
  states.failed("a", kNow + minutes(1));
  CHECK(states.dead("a", kNow));
  CHECK_FALSE(states.dead("a", kNow + minutes(1)));
  states.failed("a", kNow + minutes(1));
  states.worked("a");
  CHECK_FALSE(states.dead("a", kNow));
}

TEST_CASE("an access token is asked for with Basic, and read from the answer") {
  const TokenEndpoint endpoint{
      name("login.example"), 443, "/token", "id:1", smtp::Secret("se cret"), "https://x/.default"};
  const net::HttpsPost post = token_request(endpoint);
  CHECK(post.content == "grant_type=client_credentials&scope=https%3A%2F%2Fx%2F.default");
  CHECK(post.userinfo == "id%3A1:se%20cret");
  CHECK(post.certificate == net::HttpsPost::Certificate::verified);

  const auto token =
      token_of({200, "application/json", R"({"access_token": "abc", "expires_in": 1800})"});
  REQUIRE(token);
  CHECK(token->text.text() == "abc");
  CHECK(token->lifetime == minutes(30));
  struct Row {
    int status;
    const char* body;
    const char* words;
  };
  const std::vector<Row> rows{
      {401, R"({"error": "invalid_client", "error_description": "expired\nsecret"})",
       "the token endpoint answered 401 invalid_client: expired?secret"},
      {503, "<html>", "the token endpoint answered 503"},
      {200, "{}", "the token endpoint answered 200 without a usable access_token"},
      {200, R"({"access_token": "a\r\nRSET"})",
       "the token endpoint answered 200 without a usable access_token"},
      {200, "[]", "the token endpoint answered 200"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.body);
    const auto refused = token_of({row.status, "application/json", row.body});
    REQUIRE_FALSE(refused);
    CHECK(refused.error() == row.words);
  }
}

TEST_CASE("the parts of a token endpoint's URL") {
  const auto plain = parse_endpoint("https://login.example/oauth2/token?x=1");
  REQUIRE(plain);
  CHECK(plain->host.text() == "login.example");
  CHECK(plain->port == 443);
  CHECK(plain->path == "/oauth2/token?x=1");
  const auto with_port = parse_endpoint("https://login.example:8443");
  REQUIRE(with_port);
  CHECK(with_port->port == 8443);
  CHECK(with_port->path == "/");
  for (const char* const wrong : {"http://login.example/", "https://", "https://a.example:0/"}) {
    CHECK_FALSE(parse_endpoint(wrong));
  }
}

}  // namespace relay::delivery
