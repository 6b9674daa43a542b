#include "relay/smtp/client_session.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/smtp/client_fixture.h"

namespace relay::smtp::testing {
namespace {

using namespace std::chrono_literals;
using net::CertificateFaultKind;
using net::TlsFailed;
using net::TlsNotOffered;
using net::TlsUnverified;
using net::TlsVerified;

TlsUnverified self_signed() {
  return {{"TLSv1.3", "X", false}, {{CertificateFaultKind::not_trusted, "X509_V_ERR_X"}}};
}

}  // namespace

TEST_CASE("a server without STARTTLS is used in plaintext when nothing is required") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto client = session();
    play(client, 'S',
         "S: 220-mx.example ESMTP\nS: 220 hello\nC: EHLO relay.example\nS: 250 mx.example", cut);
    CHECK(client.demand() == Demand::ready);
    CHECK(client.server_name() == "mx.example");
    REQUIRE(client.tls_outcome().has_value());
    CHECK(std::get<TlsNotOffered>(*client.tls_outcome()).reason == "not-advertised");
    client.quit();
    CHECK(client.take_output() == "QUIT\r\n");
    CHECK(client.end()->kind == Kind::quit);
  }
}

TEST_CASE("after the handshake the capability list is forgotten and EHLO said again") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto client = session(TlsRequirement::verified());
    play(client, 'S',
         "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250-PIPELINING\nS: 250 STARTTLS\n"
         "C: STARTTLS\nS: 220 go",
         cut);
    REQUIRE(client.demand() == Demand::start_tls);
    CHECK(client.timeout() == 60s);
    client.tls_established(TlsVerified{{"TLSv1.3", "X", false}});
    play(client, 'S', "C: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS", cut);
    REQUIRE(client.demand() == Demand::ready);
    client.begin(message({"x@d.example"}));
    CHECK(client.take_output() == "MAIL FROM:<a@sender.example>\r\n");
  }
}

TEST_CASE("verified: nothing but QUIT follows when TLS falls short of the requirement") {
  struct Row {
    std::string ehlo, reason;
  };
  const std::vector<Row> rows{
      {"S: 250-mx\nS: 250 PIPELINING", "not-advertised"},
      {"S: 250 STARTTLS", "not-advertised"},
      {"S: 502 no\nC: HELO relay.example\nS: 250 mx", "not-advertised"},
      {"S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 4.7.0 no", "starttls-reply-454"},
      {"S: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 250 ok", "starttls-reply-250"},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.ehlo);
      auto client = session(TlsRequirement::verified());
      play(client, 'S', "S: 220 mx\nC: EHLO relay.example\n" + row.ehlo + "\nC: QUIT", cut);
      CHECK(client.demand() == Demand::close);
      CHECK(client.end()->kind == Kind::tls_requirement);
      CHECK(std::get<TlsNotOffered>(*client.tls_outcome()).reason == row.reason);
    }
  }
}

TEST_CASE("verified: an unproven certificate ends in QUIT, a failed handshake in silence") {
  const auto at_handshake = [](TlsRequirement requirement) {
    auto client = session(requirement);
    play(client, 'S',
         "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go");
    return client;
  };
  auto unproven = at_handshake(TlsRequirement::verified());
  unproven.tls_established(self_signed());
  CHECK(unproven.take_output() == "QUIT\r\n");
  CHECK(unproven.end()->kind == Kind::tls_requirement);

  auto failed = at_handshake(TlsRequirement::verified());
  failed.tls_established(TlsFailed{"tls-alert-40"});
  CHECK(failed.take_output().empty());
  CHECK(failed.end()->kind == Kind::tls_requirement);

  auto lenient = at_handshake(TlsRequirement::opportunistic());
  lenient.tls_established(self_signed());
  CHECK(lenient.take_output() == "EHLO relay.example\r\n");

  auto retry = at_handshake(TlsRequirement::opportunistic());
  retry.tls_established(TlsFailed{"tls-alert-40"});
  CHECK(retry.take_output().empty());
  CHECK(retry.end()->kind == Kind::tls_failed);

  auto late = at_handshake(TlsRequirement::opportunistic());
  late.timed_out();
  CHECK(std::get<TlsFailed>(*late.tls_outcome()).reason == "handshake-timeout");
}

TEST_CASE("plaintext after the 220 to STARTTLS is an injection") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    for (const auto* extra : {"250 injected\r\n", "2"}) {
      auto client = session(TlsRequirement::verified());
      play(client, 'S', "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS",
           cut);
      support::feed(client, std::string("220 go\r\n") + extra, cut);
      CHECK(client.demand() == Demand::close);
      CHECK(client.take_output().empty());
      CHECK(std::get<TlsFailed>(*client.tls_outcome()).reason == "starttls-injection");
      CHECK(client.end()->kind == Kind::tls_requirement);
    }
  }
}

TEST_CASE("the plaintext retry does not say STARTTLS") {
  auto client = session(*TlsRequirement::opportunistic().after_failed_handshake());
  play(client, 'S', "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS");
  CHECK(client.demand() == Demand::ready);
  CHECK_FALSE(client.tls_outcome().has_value());
}

TEST_CASE("greeting and EHLO refusals end the session") {
  struct Row {
    std::string script;
    Kind kind;
    Stage stage;
  };
  const std::vector<Row> rows{
      {"S: 554 no\nC: QUIT", Kind::refused, Stage::greeting},
      {"S: 421 busy", Kind::refused, Stage::greeting},
      {"S: 250 odd\nC: QUIT", Kind::refused, Stage::greeting},
      {"S: 120 wait", Kind::protocol, Stage::greeting},
      {"S: HTTP/1.1 400 Bad Request", Kind::protocol, Stage::greeting},
      {"S: 220 mx\nC: EHLO relay.example\nS: 421 busy", Kind::refused, Stage::ehlo},
      {"S: 220 mx\nC: EHLO relay.example\nS: 450 no\nC: QUIT", Kind::refused, Stage::ehlo},
      {"S: 220 mx\nC: EHLO relay.example\nS: 550 no\nC: QUIT", Kind::refused, Stage::ehlo},
      {"S: 220 mx\nC: EHLO relay.example\nS: 500 no\nC: HELO relay.example\nS: 502 no\nC: QUIT",
       Kind::refused, Stage::ehlo},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.script);
      auto client = session();
      play(client, 'S', row.script, cut);
      CHECK(client.take_output().empty());
      REQUIRE(client.end().has_value());
      CHECK(client.end()->kind == row.kind);
      CHECK(client.end()->stage == row.stage);
      CHECK_FALSE(client.end()->detail.empty());
    }
  }
}

TEST_CASE("an unasked reply on an idle session ends it") {
  auto timed = ready("PIPELINING");
  timed.receive("421 4.4.2 idle too long\r\n");
  CHECK(timed.end()->kind == Kind::refused);
  CHECK(timed.take_output().empty());
  auto odd = ready("PIPELINING");
  odd.receive("250 surprise\r\n");
  CHECK(odd.end()->kind == Kind::protocol);
}

}  // namespace relay::smtp::testing
