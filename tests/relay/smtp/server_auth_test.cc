// ServerSession: AUTH PLAIN and LOGIN (RFC 4954, RFC 4616).
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/smtp/server_fixture.h"

namespace relay::smtp::testing {
namespace {

ServerSettings with(Authentication authentication, Security security = Security::tls) {
  auto result = settings();
  result.security = security;
  result.authentication = authentication;
  result.relaying = Relaying::denied;
  return result;
}

// "\0tim\0tanstaaftanstaaf", RFC 4616 §4.
const std::string kPlain = "AHRpbQB0YW5zdGFhZnRhbnN0YWFm";
const std::string kOk = "235 2.7.0 Authentication successful\r\n";
const std::string kWrong = "535 5.7.8 Authentication credentials invalid\r\n";

}  // namespace

TEST_CASE("AUTH is announced inside TLS only, and only where there are users") {
  struct Row {
    Authentication authentication;
    Security security;
    bool announced;
  };
  for (const auto& row : {Row{Authentication::off, Security::tls, false},
                          Row{Authentication::offered, Security::starttls, false},
                          Row{Authentication::offered, Security::tls, true},
                          Row{Authentication::required, Security::tls, true}}) {
    AutoServer server(with(row.authentication, row.security));
    server.receive("EHLO c\r\n");
    CHECK((server.take_output().find("250-AUTH PLAIN LOGIN\r\n") != std::string::npos) ==
          row.announced);
  }
}

TEST_CASE("each way to give credentials leads to the same user and password") {
  struct Row {
    const char* what;
    std::string lines, replies;
  };
  const std::vector<Row> rows{
      {"PLAIN with its initial response", "AUTH PLAIN " + kPlain + "\r\n", kOk},
      {"PLAIN, asked", "auth plain\r\n" + kPlain + "\r\n", "334 \r\n" + kOk},
      {"PLAIN, acting for itself", "AUTH PLAIN dGltAHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n", kOk},
      {"LOGIN", "AUTH LOGIN\r\ndGlt\r\ndGFuc3RhYWZ0YW5zdGFhZg==\r\n",
       "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n" + kOk},
      {"LOGIN with the user at once", "AUTH login dGlt\r\ndGFuc3RhYWZ0YW5zdGFhZg==\r\n",
       "334 UGFzc3dvcmQ6\r\n" + kOk},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.what);
      auto server = after_ehlo(with(Authentication::offered));
      support::feed(server, row.lines, cut);
      CHECK(server.take_output() == row.replies);
      CHECK(server.credentials == std::vector<std::string>{"tim/tanstaaftanstaaf"});
      CHECK(server.session.user() == "tim");
    }
  }
}

TEST_CASE("AUTH that cannot be is refused, and the session goes on") {
  struct Row {
    Authentication authentication;
    Security security;
    std::string before, lines, replies;
  };
  const auto on = Authentication::offered;
  const std::string ehlo = "EHLO c\r\n";
  const std::vector<Row> rows{
      {Authentication::off, Security::tls, ehlo, "AUTH PLAIN",
       "502 5.5.1 AUTH is not offered here\r\n"},
      {on, Security::starttls, ehlo, "AUTH PLAIN " + kPlain,
       "538 5.7.11 AUTH is possible only inside TLS: STARTTLS first\r\n"},
      {on, Security::tls, "", "AUTH PLAIN", "503 5.5.1 EHLO first\r\n"},
      {on, Security::tls, ehlo + "AUTH PLAIN " + kPlain + "\r\n", "AUTH PLAIN " + kPlain,
       "503 5.5.1 Authenticated already\r\n"},
      {on, Security::tls, ehlo + "MAIL FROM:<a@b.example>\r\n", "AUTH PLAIN " + kPlain,
       "503 5.5.1 A transaction is in progress\r\n"},
      {on, Security::tls, ehlo, "AUTH", "504 5.5.4 Mechanisms here: PLAIN LOGIN\r\n"},
      {on, Security::tls, ehlo, "AUTH CRAM-MD5", "504 5.5.4 Mechanisms here: PLAIN LOGIN\r\n"},
      {on, Security::tls, ehlo, "AUTH PLAIN\r\n*",
       "334 \r\n501 5.7.0 Authentication cancelled\r\n"},
      {on, Security::tls, ehlo, "AUTH LOGIN\r\ndGlt\r\n*",
       "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n501 5.7.0 Authentication cancelled\r\n"},
      {on, Security::tls, ehlo, "AUTH PLAIN no base64", "501 5.5.2 Response is not base64\r\n"},
      {on, Security::tls, ehlo,
       "AUTH PLAIN =", "501 5.5.2 Not a message of the mechanism PLAIN\r\n"},
      {on, Security::tls, ehlo, "AUTH PLAIN dGlt",  // no NUL
       "501 5.5.2 Not a message of the mechanism PLAIN\r\n"},
      {on, Security::tls, ehlo, "AUTH PLAIN AGEAYgBj",  // three NULs
       "501 5.5.2 Not a message of the mechanism PLAIN\r\n"},
      {on, Security::tls, ehlo, "AUTH PLAIN YgBhAGM=",  // b acting as a
       "535 5.7.8 Acting for another user is not possible\r\n"},
      {on, Security::tls, ehlo, "AUTH PLAIN\r\n" + std::string(12'300, 'A'),
       "334 \r\n500 5.5.2 Line too long\r\n"},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.replies);
      AutoServer server(with(row.authentication, row.security));
      support::feed(server, row.before, cut);
      (void)server.take_output();
      const auto checked = server.credentials.size();
      support::feed(server, row.lines + "\r\nNOOP\r\n", cut);
      CHECK(server.take_output() == row.replies + "250 2.0.0 Ok\r\n");
      CHECK(server.credentials.size() == checked);
    }
  }
}

TEST_CASE("a response that looks like HTTP is a response") {
  auto server = after_ehlo(with(Authentication::offered));
  server.receive("AUTH LOGIN\r\nPOST\r\n");
  CHECK(server.take_output() == "334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n");
}

TEST_CASE("a response may have 12288 octets") {
  auto server = after_ehlo(with(Authentication::offered));
  server.receive("AUTH LOGIN dGlt\r\n" + std::string(12'288, 'A') + "\r\n");
  CHECK(server.take_output() == "334 UGFzc3dvcmQ6\r\n" + kOk);
}

TEST_CASE("wrong credentials: 535, and after the third the session ends") {
  auto server = after_ehlo(with(Authentication::offered));
  server.verdict = AuthVerdict::rejected;
  const std::string line = "AUTH PLAIN " + kPlain + "\r\n";
  server.receive(line);
  CHECK(server.take_output() == kWrong);
  CHECK(server.session.user().empty());
  server.receive(line);
  CHECK(server.take_output() == kWrong);
  server.receive(line + "NOOP\r\n");
  CHECK(server.take_output() ==
        kWrong + "421 4.7.0 relay.example Too many failed authentications\r\n");
  CHECK(server.session.demand() == Demand::close);
}

TEST_CASE("what keeps us from looking at credentials is temporary") {
  struct Row {
    AuthVerdict verdict;
    const char* reply;
  };
  for (const auto& row :
       {Row{AuthVerdict::unavailable, "454 4.7.0 Authentication is not possible now\r\n"},
        Row{AuthVerdict::blocked,
            "454 4.7.0 Too many failed authentications; try again later\r\n"}}) {
    auto server = after_ehlo(with(Authentication::offered));
    server.verdict = row.verdict;
    server.receive("AUTH PLAIN " + kPlain + "\r\nNOOP\r\n");
    CHECK(server.take_output() == row.reply + std::string("250 2.0.0 Ok\r\n"));
    CHECK(server.session.user().empty());
  }
}

TEST_CASE("who may mail: by AUTH, by another proof, or by neither") {
  struct Row {
    const char* what;
    Authentication authentication;
    Security security;
    bool authenticates, identified;
    std::string replies;
  };
  const std::string mailed = "250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n";
  const std::vector<Row> rows{
      {"no AUTH here", Authentication::off, Security::tls, false, false,
       "250 2.1.0 Ok\r\n550 5.7.1 Relaying denied\r\n"},
      {"offered, not used", Authentication::offered, Security::tls, false, false,
       "250 2.1.0 Ok\r\n530 5.7.0 Authentication required\r\n"},
      {"offered after STARTTLS", Authentication::offered, Security::starttls, false, false,
       "250 2.1.0 Ok\r\n530 5.7.0 STARTTLS and authentication required\r\n"},
      {"required, not used", Authentication::required, Security::tls, false, false,
       "530 5.7.0 Authentication required\r\n503 5.5.1 MAIL first\r\n"},
      {"required after STARTTLS", Authentication::required, Security::starttls, false, false,
       "530 5.7.0 STARTTLS and authentication required\r\n503 5.5.1 MAIL first\r\n"},
      {"offered and used", Authentication::offered, Security::tls, true, false, mailed},
      {"required and used", Authentication::required, Security::tls, true, false, mailed},
      {"required, but a certificate said who it is", Authentication::required, Security::tls, false,
       true, mailed},
      {"a certificate", Authentication::off, Security::tls, false, true, mailed},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    auto server = after_ehlo(with(row.authentication, row.security));
    if (row.authenticates) {
      server.receive("AUTH PLAIN " + kPlain + "\r\n");
    }
    if (row.identified) {
      server.session.identified();
    }
    (void)server.take_output();
    server.receive("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\n");
    CHECK(server.take_output() == row.replies);
  }
}

TEST_CASE("the protocol's name tells of AUTH (RFC 3848)") {
  auto server = after_ehlo(with(Authentication::required));
  server.receive("AUTH PLAIN " + kPlain + "\r\n");
  const std::string message = "RCPT TO:<x@d.example>\r\nBDAT 6 LAST\r\na: b\r\n";
  server.receive("MAIL FROM:<a@b.example>\r\n" + message);
  server.receive("MAIL FROM:<a@b.example> SMTPUTF8\r\n" + message);
  REQUIRE(server.messages.size() == 2);
  CHECK(server.messages[0].protocol == "ESMTPSA");
  CHECK(server.messages[1].protocol == "UTF8SMTPSA");
}

TEST_CASE("nothing that the log is told holds a password or its base64") {
  auto server = after_ehlo(with(Authentication::offered));
  server.verdict = AuthVerdict::rejected;
  server.receive("AUTH LOGIN\r\ndGlt\r\n" + kPlain + "!\r\nAUTH PLAIN " + kPlain + "\r\n" + kPlain +
                 "\r\nAUTH PLAIN x" + kPlain + "\r\nAUTH CRAM " + kPlain + "\r\n");
  for (const auto& one : server.session.take_rejections()) {
    const auto all = one.stage + one.sender + one.recipients + one.reply + one.end;
    CHECK(all.find(kPlain.substr(0, 8)) == std::string::npos);
    CHECK(all.find("tanstaaf") == std::string::npos);
  }
  CHECK(server.take_output().find(kPlain.substr(0, 8)) == std::string::npos);
}

}  // namespace relay::smtp::testing
