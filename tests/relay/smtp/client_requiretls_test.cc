// ClientSession: REQUIRETLS on the way out (RFC 8689 §4.2.1, §5).
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/smtp/client_fixture.h"

namespace relay::smtp::testing {
namespace {

enum class Tls { none, verified };

/// A session that is ready; keywords: of the last EHLO reply, after commas.
ClientSession ready_after(Tls tls, std::string_view first, std::string_view keywords, Cut cut) {
  auto client =
      session(tls == Tls::verified ? TlsRequirement::verified() : TlsRequirement::opportunistic());
  play(client, 'S', "S: 220 mx.example ESMTP\nC: EHLO relay.example", cut);
  if (tls == Tls::verified) {
    play(client, 'S', "S: 250-mx\nS: 250-" + std::string(first) + "\nS: 250 STARTTLS\nC: STARTTLS",
         cut);
    support::feed(client, "220 go\r\n", cut);
    client.tls_established(net::TlsVerified{{"TLSv1.3", "X", false}});
    play(client, 'S', "C: EHLO relay.example");
  }
  support::feed(client, ehlo_reply(keywords), cut);
  REQUIRE(client.demand() == Demand::ready);
  return client;
}

ClientTransaction requiring(const std::string& sender) {
  auto transaction = message({"x@d.example", "y@d.example"});
  transaction.sender = sender;
  transaction.requiretls = RequireTls::yes;
  return transaction;
}

}  // namespace

TEST_CASE("R04 R05: a server without TLS or without REQUIRETLS inside it gets nothing to see") {
  struct Row {
    Tls tls;
    std::string first, keywords, summary;
  };
  const std::string no_tls = "unsuitable@mail 5.7.10, unsuitable@mail 5.7.10";
  const std::string no_support = "unsuitable@mail 5.7.30, unsuitable@mail 5.7.30";
  const std::vector<Row> rows{
      {Tls::none, "", "PIPELINING", no_tls},
      {Tls::none, "", "PIPELINING,REQUIRETLS", no_tls},
      {Tls::verified, "PIPELINING", "PIPELINING", no_support},
      // RFC 8689 §2: announced after STARTTLS, not before it.
      {Tls::verified, "REQUIRETLS", "PIPELINING", no_support},
      {Tls::verified, "PIPELINING", "PIPELINING,REQUIRETLSX,X-REQUIRETLS", no_support},
      // The reason that another host may lack comes first.
      {Tls::verified, "PIPELINING", "SIZE 10", no_support},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.keywords);
      auto client = ready_after(row.tls, row.first, row.keywords, cut);
      client.begin(requiring("a@b.example"));
      CHECK(client.take_output().empty());
      // RFC 8689 §4.2.1: the server may still be given mail that does not ask for it.
      CHECK(client.demand() == Demand::ready);
      const auto result = client.take_result();
      REQUIRE(result.has_value());
      CHECK(result->recipients[0].detail.find("RFC 8689") != std::string::npos);
      client.begin(requiring("a@b.example"));
      CHECK(summary(client) == row.summary);
    }
  }
}

TEST_CASE("REQUIRETLS goes with MAIL when the server announced it inside TLS") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto client = ready_after(Tls::verified, "PIPELINING", "PIPELINING,DSN,requiretls", cut);
    auto transaction = requiring("a@b.example");
    transaction.ret = "HDRS";
    client.begin(transaction);
    play(client, 'S',
         "C: MAIL FROM:<a@b.example> REQUIRETLS RET=HDRS\nC: RCPT TO:<x@d.example>\n"
         "C: RCPT TO:<y@d.example>\nC: DATA\nS: 250 ok\nS: 250 ok\nS: 250 ok\nS: 354 go",
         cut);
    client.body("x\r\n");
    client.body_end();
    play(client, 'S', "C: x\nC: .\nS: 250 2.0.0 ok", cut);
    CHECK(summary(client) == "delivered@final-dot 2.0.0, delivered@final-dot 2.0.0");
    transaction.requiretls = RequireTls::no;
    client.begin(transaction);
    CHECK(client.take_output().starts_with("MAIL FROM:<a@b.example> RET=HDRS\r\n"));
  }
}

TEST_CASE("a bounce takes REQUIRETLS along where it can, and is not lost where it cannot") {
  struct Row {
    Tls tls;
    std::string keywords, mail;
  };
  const std::vector<Row> rows{
      {Tls::verified, "PIPELINING,REQUIRETLS", "MAIL FROM:<> REQUIRETLS\r\n"},
      {Tls::verified, "PIPELINING", "MAIL FROM:<>\r\n"},
      {Tls::none, "PIPELINING,REQUIRETLS", "MAIL FROM:<>\r\n"},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      auto client = ready_after(row.tls, "PIPELINING", row.keywords, cut);
      client.begin(requiring(""));
      CHECK(client.take_output().starts_with(row.mail));
    }
  }
}

}  // namespace relay::smtp::testing
