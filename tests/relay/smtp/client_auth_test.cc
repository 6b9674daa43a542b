#include "relay/smtp/client_auth.h"

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/smtp/base64.h"
#include "tests/relay/smtp/client_fixture.h"

namespace relay::smtp::testing {
namespace {

using SendOver = ClientAuth::SendOver;

std::shared_ptr<const ClientAuth> account(ClientAuth::Kind kind = ClientAuth::Kind::password,
                                          SendOver send_over = SendOver::verified,
                                          std::string secret = "secret") {
  return std::make_shared<const ClientAuth>(
      ClientAuth{"user", kind, send_over, Secret(std::move(secret))});
}

ClientSession logging_in(std::shared_ptr<const ClientAuth> auth,
                         TlsRequirement requirement = TlsRequirement::verified()) {
  ClientSettings settings;
  settings.helo_name = "relay.example";
  settings.tls = std::move(requirement);
  settings.auth = std::move(auth);
  return ClientSession(settings);
}

/// A session inside verified TLS whose server offers these mechanisms.
ClientSession inside_tls(std::shared_ptr<const ClientAuth> auth, const std::string& offer) {
  auto client = logging_in(std::move(auth));
  play(client, 'S',
       "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go");
  client.tls_established(net::TlsVerified{{"TLSv1.3", "X", false}});
  play(client, 'S', "C: EHLO relay.example\nS: 250-mx\nS: 250 " + offer);
  return client;
}

}  // namespace

TEST_CASE("base64: what is encoded is decoded again") {
  for (const std::string text : {"", "f", "fo", "foo", "foob", "fooba", "foobar", "\xff\xfe"}) {
    CHECK(base64_decode(base64_encode(text)) == text);
  }
  CHECK(base64_encode("fooba") == "Zm9vYmE=");
}

TEST_CASE("AUTH: the best mechanism that is offered, and what each of them says") {
  using Proof = ClientAuth::Kind;
  struct Row {
    Proof proof;
    std::string offer, dialogue;
  };
  const std::string bearer = base64_encode("user=user\1auth=Bearer secret\1\1");
  const std::string oauth = base64_encode("n,a=user,\1auth=Bearer secret\1\1");
  const std::vector<Row> rows{
      {Proof::password, "AUTH LOGIN PLAIN", "C: AUTH PLAIN AHVzZXIAc2VjcmV0\nS: 235 2.7.0 in"},
      {Proof::password, "AUTH=LOGIN",
       "C: AUTH LOGIN\nS: 334 VXNlcm5hbWU6\nC: dXNlcg==\n"
       "S: 334 UGFzc3dvcmQ6\nC: c2VjcmV0\nS: 235 in"},
      {Proof::token, "AUTH PLAIN XOAUTH2", "C: AUTH XOAUTH2 " + bearer + "\nS: 235 in"},
      {Proof::token, "AUTH XOAUTH2 OAUTHBEARER", "C: AUTH OAUTHBEARER " + oauth + "\nS: 235 in"},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.offer);
      auto client = inside_tls(account(row.proof), row.offer);
      play(client, 'S', row.dialogue, cut);
      REQUIRE(client.demand() == Demand::ready);
      client.begin(message({"x@d.example"}));
      CHECK(client.take_output() == "MAIL FROM:<a@sender.example>\r\n");
    }
  }
}

TEST_CASE("AUTH: a refusal ends the session as one of credentials, and no mail is begun") {
  using Proof = ClientAuth::Kind;
  const std::string bearer = base64_encode("user=user\1auth=Bearer secret\1\1");
  struct Row {
    Proof proof;
    std::string offer, dialogue;
    SessionEnd::Kind end;
    int code;
  };
  const std::string plain = "C: AUTH PLAIN AHVzZXIAc2VjcmV0\n";
  const std::vector<Row> rows{
      {Proof::password, "AUTH PLAIN", plain + "S: 535 5.7.8 wrong\nC: QUIT",
       SessionEnd::Kind::credentials, 535},
      {Proof::password, "AUTH PLAIN", plain + "S: 454 4.7.0 later\nC: QUIT",
       SessionEnd::Kind::credentials, 454},
      {Proof::password, "AUTH PLAIN", plain + "S: 421 4.3.2 bye", SessionEnd::Kind::refused, 421},
      {Proof::password, "AUTH PLAIN", plain + "S: 334 more\nC: *\nS: 501 cancelled\nC: QUIT",
       SessionEnd::Kind::credentials, 501},
      {Proof::password, "AUTH PLAIN", plain + "S: 334 more\nC: *\nS: 334 more",
       SessionEnd::Kind::protocol, 0},
      {Proof::password, "AUTH XOAUTH2", "C: QUIT", SessionEnd::Kind::credentials, 0},
      {Proof::token, "AUTH PLAIN LOGIN", "C: QUIT", SessionEnd::Kind::credentials, 0},
      {Proof::password, "PIPELINING", "C: QUIT", SessionEnd::Kind::credentials, 0},
      // The reason comes as a challenge; an empty line acknowledges it.
      {Proof::token, "AUTH XOAUTH2",
       "C: AUTH XOAUTH2 " + bearer + "\nS: 334 eyJzdGF0dXMiOiI0MDEifQ==\nC: \nS: 535 no\nC: QUIT",
       SessionEnd::Kind::credentials, 535},
  };
  for (const auto& row : rows) {
    CAPTURE(row.dialogue);
    auto client = inside_tls(account(row.proof), row.offer);
    play(client, 'S', row.dialogue);
    REQUIRE(client.demand() == Demand::close);
    CHECK(client.end()->kind == row.end);
    CHECK((client.end()->reply ? client.end()->reply->code : 0) == row.code);
    CHECK_FALSE(client.take_result());
  }
}

TEST_CASE("AUTH: what is too long for a command line follows the server's challenge") {
  const std::string token(600, 't');
  auto client =
      inside_tls(account(ClientAuth::Kind::token, SendOver::verified, token), "AUTH XOAUTH2");
  CHECK(client.take_output() == "AUTH XOAUTH2\r\n");
  client.receive("334 \r\n");
  CHECK(client.take_output() == base64_encode("user=user\1auth=Bearer " + token + "\1\1") + "\r\n");
}

TEST_CASE("AUTH: credentials are never sent over a session that is less than they may go over") {
  struct Row {
    SendOver send_over;
    TlsRequirement requirement;
    bool tls, sent;
  };
  const std::vector<Row> rows{
      {SendOver::verified, TlsRequirement::verified(), true, true},
      {SendOver::verified, TlsRequirement::encrypted(), true, false},
      {SendOver::verified, TlsRequirement::opportunistic(), true, false},
      {SendOver::verified, TlsRequirement::opportunistic(), false, false},
      {SendOver::verified, TlsRequirement::plaintext(), false, false},
      {SendOver::encrypted, TlsRequirement::encrypted(), true, true},
      {SendOver::encrypted, TlsRequirement::opportunistic(), false, false},
      {SendOver::plaintext, TlsRequirement::opportunistic(), false, true},
  };
  for (const auto& row : rows) {
    CAPTURE(row.requirement.name());
    auto client = logging_in(account(ClientAuth::Kind::password, row.send_over), row.requirement);
    if (row.tls) {
      play(client, 'S',
           "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS\nC: STARTTLS\nS: 220 go");
      client.tls_established(net::TlsVerified{{"TLSv1.3", "X", false}});
      play(client, 'S', "C: EHLO relay.example\nS: 250-mx\nS: 250 AUTH PLAIN");
    } else {
      play(client, 'S', "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 AUTH PLAIN");
    }
    const std::string output = client.take_output();
    CHECK(output.starts_with("AUTH PLAIN ") == row.sent);
    if (!row.sent) {
      CHECK(output == "QUIT\r\n");
      CHECK(client.end()->kind == SessionEnd::Kind::credentials);
    }
  }
}

TEST_CASE("implicit TLS: the handshake comes before the greeting, and plaintext never") {
  ClientSettings settings;
  settings.helo_name = "relay.example";
  settings.tls = TlsRequirement::opportunistic();
  settings.tls_start = TlsStart::implicit;
  ClientSession client(settings);
  REQUIRE(client.demand() == Demand::start_tls);
  CHECK(client.take_output().empty());
  client.tls_established(net::TlsVerified{{"TLSv1.3", "X", false}});
  play(client, 'S', "S: 220 mx\nC: EHLO relay.example\nS: 250-mx\nS: 250 STARTTLS");
  CHECK(client.demand() == Demand::ready);

  ClientSession failed(settings);
  failed.tls_established(net::TlsFailed{"handshake-eof"});
  CHECK(failed.end()->kind == SessionEnd::Kind::tls_requirement);

  ClientSession early(settings);
  early.receive("220 mx\r\n");
  CHECK(early.demand() == Demand::close);
}

}  // namespace relay::smtp::testing
