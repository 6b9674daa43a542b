// ServerSession: STARTTLS (RFC 3207) and TLS from the first octet on (RFC 8314).
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/smtp/server_fixture.h"

namespace relay::smtp::testing {
namespace {

ServerSettings with(Security security) {
  auto result = settings();
  result.security = security;
  return result;
}

AutoServer asked_for_tls() {
  auto server = after_ehlo(with(Security::starttls));
  server.receive("STARTTLS\r\n");
  REQUIRE(server.take_output() == "220 2.0.0 Ready to start TLS\r\n");
  REQUIRE(server.session.demand() == Demand::start_tls);
  return server;
}

/// "stage detail|end" of each.
std::vector<std::string> told(AutoServer& server) {
  std::vector<std::string> result;
  for (const auto& one : server.session.take_rejections()) {
    result.push_back(one.stage + " " + one.reply + "|" + one.end);
  }
  return result;
}

}  // namespace

TEST_CASE("STARTTLS is announced where it is offered, and no longer inside TLS") {
  struct Row {
    Security security;
    bool announced;
  };
  for (const auto& row :
       {Row{Security::plain, false}, Row{Security::starttls, true}, Row{Security::tls, false}}) {
    AutoServer server(with(row.security));
    server.receive("EHLO c\r\n");
    CHECK((server.take_output().find("250-STARTTLS\r\n") != std::string::npos) == row.announced);
  }
}

TEST_CASE("STARTTLS is refused where it has no place, and the session goes on") {
  struct Row {
    Security security;
    std::string before, command, reply;
  };
  const std::vector<Row> rows{
      {Security::plain, "EHLO c\r\n", "STARTTLS", "502 5.5.1 STARTTLS is not offered here"},
      {Security::tls, "EHLO c\r\n", "STARTTLS", "503 5.5.1 TLS is active already"},
      {Security::starttls, "", "STARTTLS", "503 5.5.1 EHLO first"},
      {Security::starttls, "EHLO c\r\n", "STARTTLS now", "501 5.5.4 Syntax: STARTTLS"},
      {Security::starttls, "EHLO c\r\nMAIL FROM:<a@b.example>\r\n", "STARTTLS",
       "503 5.5.1 A transaction is in progress"},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.reply);
      AutoServer server(with(row.security));
      support::feed(server, row.before, cut);
      (void)server.take_output();
      support::feed(server, row.command + "\r\nNOOP\r\n", cut);
      CHECK(server.take_output() == row.reply + "\r\n250 2.0.0 Ok\r\n");
    }
  }
}

TEST_CASE("STARTTLS may end a group of commands") {
  AutoServer server(with(Security::starttls));
  server.receive("EHLO c\r\nSTARTTLS\r\n");
  CHECK(server.take_output().ends_with("\r\n220 2.0.0 Ready to start TLS\r\n"));
  CHECK(server.session.demand() == Demand::start_tls);
}

TEST_CASE("what comes after STARTTLS in plaintext ends the session and is never obeyed") {
  for (const std::string injected :
       {"EHLO evil\r\n", "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\nDATA\r\n", "X",
        "\r\n"}) {
    CAPTURE(injected);
    auto server = after_ehlo(with(Security::starttls));
    server.receive("STARTTLS\r\n" + injected);
    CHECK(server.take_output() == "421 4.7.0 relay.example Commands came after STARTTLS\r\n");
    CHECK(server.session.demand() == Demand::close);
    CHECK(told(server) ==
          std::vector<std::string>{"STARTTLS 421 4.7.0 relay.example Commands came after "
                                   "STARTTLS|starttls-injection"});
  }
}

TEST_CASE("what arrives before the handshake is complete is forgotten by it") {
  auto server = asked_for_tls();
  server.receive("MAIL FROM:<a@b.example>\r\n");
  CHECK(server.take_output().empty());
  server.session.tls_established();
  server.obey();
  CHECK(server.take_output().empty());
  server.receive("EHLO c\r\n");
  CHECK(server.take_output().find("250-REQUIRETLS\r\n") != std::string::npos);
}

TEST_CASE("the handshake forgets EHLO, and the protocol's name tells of TLS") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto server = asked_for_tls();
    server.session.tls_established();
    CHECK(server.session.helo().empty());
    support::feed(server, "MAIL FROM:<a@b.example>\r\n", cut);
    CHECK(server.take_output() == "503 5.5.1 EHLO or HELO first\r\n");
    play(server, 'C', R"(
        C: EHLO again.example
        S: 250-relay.example
        S: 250-PIPELINING
        S: 250-SIZE 100000
        S: 250-8BITMIME
        S: 250-SMTPUTF8
        S: 250-ENHANCEDSTATUSCODES
        S: 250-CHUNKING
        S: 250-DSN
        S: 250-REQUIRETLS
        S: 250 LIMITS RCPTMAX=1000
        C: MAIL FROM:<a@b.example> REQUIRETLS
        C: RCPT TO:<x@d.example>
        C: DATA
        S: 250 2.1.0 Ok
        S: 250 2.1.5 Ok
        S: 354 End data with <CR><LF>.<CR><LF>
        C: Subject: x
        C: .
        S: 250 2.0.0 Ok: queued as ID1)",
         cut);
    REQUIRE(server.messages.size() == 1);
    CHECK(server.messages[0].protocol == "ESMTPS");
    CHECK(server.messages[0].transaction.tls == MessageTls::required);
  }
}

TEST_CASE("implicit TLS: the greeting waits for the handshake") {
  AutoServer server(with(Security::implicit));
  CHECK(server.take_output().empty());
  REQUIRE(server.session.demand() == Demand::start_tls);
  server.session.tls_established();
  CHECK(server.take_output() == "220 relay.example ESMTP stsrelay\r\n");
  server.receive("EHLO c\r\n");
  const auto reply = server.take_output();
  CHECK(reply.find("250-REQUIRETLS\r\n") != std::string::npos);
  CHECK(reply.find("STARTTLS") == std::string::npos);
}

TEST_CASE("an end in the handshake says nothing to the client and one thing to the log") {
  struct Row {
    Security security;
    std::function<void(ServerSession&)> end;
    std::vector<std::string> told;
  };
  const auto failed = [](const char* reason) {
    return [reason](ServerSession& session) { session.tls_failed(reason); };
  };
  const std::vector<Row> rows{
      {Security::starttls, failed("tls-alert-48"), {"STARTTLS tls-alert-48|tls-failed"}},
      {Security::starttls, failed("handshake-eof"), {"STARTTLS handshake-eof|tls-failed"}},
      {Security::implicit, failed("tls-alert-48"), {"connect tls-alert-48|tls-failed"}},
      // Health checks only look whether the port is open.
      {Security::implicit, failed("handshake-eof"), {}},
      {Security::starttls,
       [](ServerSession& session) { session.timed_out(Overrun::silence); },
       {"STARTTLS handshake-timeout|silence"}},
      {Security::implicit,
       [](ServerSession& session) { session.shut_down(); },
       {"connect handshake under way|shutdown"}},
  };
  for (const auto& row : rows) {
    AutoServer server(with(row.security));
    if (row.security == Security::starttls) {
      server.receive("EHLO c\r\nSTARTTLS\r\n");
    }
    row.end(server.session);
    CHECK(server.session.demand() == Demand::close);
    CHECK(server.take_output().empty());
    CHECK(told(server) == row.told);
  }
}

}  // namespace relay::smtp::testing
