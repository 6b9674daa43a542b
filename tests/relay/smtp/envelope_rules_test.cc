#include "relay/smtp/envelope_rules.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/smtp/server_fixture.h"

namespace relay::smtp::testing {
namespace {

std::string replies_to(AutoServer& server, std::string_view lines, Cut cut) {
  support::feed(server, lines, cut);
  return server.take_output();
}

}  // namespace

TEST_CASE("deny goes before allow, and an allow that is not empty refuses all else") {
  struct Row {
    AddressFilter filter;
    std::string address;
    bool passes;
  };
  const std::vector<Row> rows{
      {{}, "a@b.example", true},
      {{}, "", true},
      {{{"a@b.example"}, {}}, "a@b.example", true},
      {{{"a@b.example"}, {}}, "A@B.example", true},
      {{{"a@b.example"}, {}}, "c@b.example", false},
      {{{"a@b.example"}, {}}, "", false},
      {{{"b.example"}, {}}, "c@b.example", true},
      {{{"b.example"}, {}}, "c@x.b.example", false},
      {{{"b.example"}, {}}, "c@ab.example", false},
      {{{"*.b.example"}, {}}, "c@x.y.b.example", true},
      {{{"*.b.example"}, {}}, "c@b.example", false},
      {{{"*.b.example"}, {}}, "c@.b.example", false},
      {{{"*.b.example"}, {}}, "c@ab.example", false},
      {{{"<>"}, {}}, "", true},
      {{{"<>"}, {}}, "a@b.example", false},
      {{{}, {"<>"}}, "", false},
      {{{}, {"<>"}}, "a@b.example", true},
      {{{}, {"b.example"}}, "a@b.example", false},
      {{{"b.example"}, {"a@b.example"}}, "a@b.example", false},
      {{{"b.example"}, {"a@b.example"}}, "c@b.example", true},
      {{{"b.example"}, {}}, "\"x@b.example\"@c.example", false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.address);
    CHECK(permits({row.filter}, row.address) == row.passes);
    CHECK(permits({AddressFilter{}, row.filter}, row.address) == row.passes);
  }
  CHECK(permits({}, "a@b.example"));
}

TEST_CASE("the first rewrite that matches counts, and the null sender stays null") {
  const std::vector<SenderRewrite> rewrites{
      {"root@host", "ops@example.com"}, {"host", "@example.com"}, {"*.local", "all@example.com"}};
  CHECK(rewritten(rewrites, "Root@Host") == "ops@example.com");
  CHECK(rewritten(rewrites, "Alice@host") == "Alice@example.com");
  CHECK(rewritten(rewrites, "a@b.local") == "all@example.com");
  CHECK(rewritten(rewrites, "a@local") == "a@local");
  CHECK(rewritten(rewrites, "a@example.org") == "a@example.org");
  CHECK(rewritten(rewrites, "").empty());
}

TEST_CASE(
    "senders and recipients outside the rules are refused with what to do, not with the rules") {
  auto with = settings();
  with.envelope.senders.push_back({{"b.example", "<>"}, {"evil@b.example"}});
  with.envelope.recipients.push_back({{}, {"secret.example"}});
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto server = after_ehlo(with);
    CHECK(replies_to(server, "MAIL FROM:<a@c.example>\r\n", cut) ==
          "550 5.7.1 You may not send as a@c.example: use an address of your own, or ask the "
          "administrator of relay.example to allow this one\r\n");
    CHECK(codes(replies_to(server, "MAIL FROM:<evil@b.example>\r\n", cut)) == "550");
    CHECK(codes(replies_to(server, "MAIL FROM:<>\r\nRSET\r\n", cut)) == "250 250");
    CHECK(codes(replies_to(server, "MAIL FROM:<a@b.example>\r\n", cut)) == "250");
    CHECK(replies_to(server, "RCPT TO:<x@secret.example>\r\n", cut) ==
          "550 5.7.1 You may not send to this address: leave it out, or ask the administrator of "
          "relay.example to allow it\r\n");
    CHECK(codes(replies_to(server, "RCPT TO:<x@d.example>\r\n", cut)) == "250");
  }
}

TEST_CASE("who may not relay hears nothing of the rules") {
  auto with = settings();
  with.relaying = Relaying::denied;
  with.envelope.senders.push_back({{"b.example"}, {}});
  with.envelope.recipients.push_back({{}, {"d.example"}});
  auto server = after_ehlo(with);
  CHECK(replies_to(server, "MAIL FROM:<a@c.example>\r\nRCPT TO:<x@d.example>\r\n", Cut::whole) ==
        "250 2.1.0 Ok\r\n550 5.7.1 Relaying denied\r\n");
}

TEST_CASE("rules that come with AUTH count from then on") {
  auto with = settings();
  with.security = Security::tls;
  with.authentication = Authentication::offered;
  auto server = after_ehlo(with);
  server.session.set_envelope_rules({{{{"b.example"}, {}}}, {}, {}});
  CHECK(codes(replies_to(server, "AUTH PLAIN AGEAYg==\r\nMAIL FROM:<a@c.example>\r\n",
                         Cut::whole)) == "235 550");
}

TEST_CASE("a sender is rewritten before it is judged, and stays so in the envelope") {
  auto with = settings();
  with.envelope.rewrites = {{"host", "@b.example"},
                            {"gr\xc3\xbc\xc3\x9f@b.example", "g@b.example"}};
  with.envelope.senders.push_back({{"b.example"}, {}});
  auto server = after_ehlo(with);
  (void)replies_to(server,
                   "MAIL FROM:<root@host>\r\nRCPT TO:<x@d.example>\r\nDATA\r\nA: b\r\n\r\n.\r\n",
                   Cut::whole);
  (void)replies_to(server,
                   "MAIL FROM:<gr\xc3\xbc\xc3\x9f@b.example> SMTPUTF8\r\nRCPT TO:<x@d.example>\r\n"
                   "DATA\r\nA: b\r\n\r\n.\r\n",
                   Cut::whole);
  REQUIRE(server.messages.size() == 2);
  CHECK(server.messages[0].transaction.sender == "root@b.example");
  CHECK(server.messages[1].transaction.sender == "g@b.example");
  CHECK_FALSE(server.messages[1].transaction.needs_smtputf8);
}

TEST_CASE("a PROXY header from who is no trusted proxy ends the session") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    AutoServer server(settings());
    (void)server.take_output();
    CHECK(replies_to(server, "PROXY TCP4 192.0.2.1 192.0.2.2 1 25\r\nEHLO a.example\r\n", cut) ==
          "421 4.7.0 relay.example This is an SMTP port\r\n");
    CHECK(server.session.demand() == Demand::close);
    const auto told = server.session.take_rejections();
    REQUIRE(told.size() == 1);
    CHECK(told[0].end == "proxy-header");
  }
}

}  // namespace relay::smtp::testing
