// ServerSession: REQUIRETLS and TLS-Required on the way in (RFC 8689 §2, §3, §4.1).
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/smtp/server_fixture.h"

namespace relay::smtp::testing {
namespace {

ServerSettings inside_tls() {
  auto result = settings();
  result.security = Security::tls;
  return result;
}

/// What the message asks for once it is complete.
MessageTls tls_of(const std::string& parameters, const std::string& content, Cut cut,
                  const ServerSettings& with = settings()) {
  auto server = after_ehlo(with);
  support::feed(server,
                "MAIL FROM:<a@b.example>" + parameters + "\r\nRCPT TO:<x@d.example>\r\nDATA\r\n" +
                    content + ".\r\n",
                cut);
  REQUIRE(server.messages.size() == 1);
  // Nothing is taken out of what is relayed.
  CHECK(server.messages[0].content == content);
  return server.messages[0].transaction.tls;
}

}  // namespace

TEST_CASE("REQUIRETLS is announced and taken inside TLS only") {
  struct Row {
    ServerSettings settings;
    std::string command, reply;
    bool announced;
  };
  const std::vector<Row> rows{
      {settings(), "MAIL FROM:<a@b.example> REQUIRETLS",
       "530 5.7.10 REQUIRETLS can be asked for only inside TLS", false},
      {settings(), "MAIL FROM:<> requiretls",
       "530 5.7.10 REQUIRETLS can be asked for only inside TLS", false},
      {settings(), "MAIL FROM:<a@b.example> REQUIRETLS=yes",
       "501 5.5.4 Bad value of parameter REQUIRETLS", false},
      {inside_tls(), "MAIL FROM:<a@b.example> REQUIRETLS", "250 2.1.0 Ok", true},
      {inside_tls(), "MAIL FROM:<a@b.example> SIZE=10 requireTLS BODY=7BIT", "250 2.1.0 Ok", true},
      {inside_tls(), "MAIL FROM:<> REQUIRETLS", "250 2.1.0 Ok", true},
      {inside_tls(),
       "MAIL FROM:<a@b.example> REQUIRETLS=", "501 5.5.4 Bad value of parameter REQUIRETLS", true},
      {inside_tls(), "MAIL FROM:<a@b.example> REQUIRETLS=yes",
       "501 5.5.4 Bad value of parameter REQUIRETLS", true},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.command);
      AutoServer server(row.settings);
      support::feed(server, "EHLO c\r\n", cut);
      CHECK((server.take_output().find("250-REQUIRETLS\r\n") != std::string::npos) ==
            row.announced);
      support::feed(server, row.command + "\r\n", cut);
      CHECK(server.take_output() == row.reply + "\r\n");
    }
  }
}

TEST_CASE("a message with REQUIRETLS is marked, and the next one of the session is not") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    auto server = after_ehlo(inside_tls());
    const std::string rest = "RCPT TO:<x@d.example>\r\nDATA\r\nSubject: x\r\n\r\n.\r\n";
    support::feed(
        server,
        "MAIL FROM:<a@b.example> REQUIRETLS\r\n" + rest + "MAIL FROM:<a@b.example>\r\n" + rest,
        cut);
    REQUIRE(server.messages.size() == 2);
    CHECK(server.messages[0].transaction.tls == MessageTls::required);
    CHECK(server.messages[1].transaction.tls == MessageTls::normal);
    CHECK(server.messages[0].protocol == "ESMTPS");
  }
}

TEST_CASE("R01 R07: the header field of the message itself is what counts, in any cut") {
  struct Row {
    std::string content;
    MessageTls tls;
  };
  const std::vector<Row> rows{
      {"Subject: x\r\nTLS-Required: No\r\n\r\nbody\r\n", MessageTls::optional},
      {"tls-required:\r\n\tNO (please)\r\nSubject: x\r\n\r\n", MessageTls::optional},
      {"TLS-Required: No\r\n", MessageTls::optional},  // no body, no empty line
      {"TLS-Required: Yes\r\n\r\n", MessageTls::normal},
      {"TLS-Required: No\r\nTLS-Required: No\r\n\r\n", MessageTls::normal},
      {"TLS-Required: No\r\nTLS-Required: Maybe\r\n\r\n", MessageTls::normal},
      {"Subject: x\r\n\r\nTLS-Required: No\r\n", MessageTls::normal},
      {"Subject: x\r\n\r\n--b\r\nTLS-Required: No\r\n\r\n--b--\r\n", MessageTls::normal},
      {"Subject: x\r\n TLS-Required: No\r\n\r\n", MessageTls::normal},
  };
  for (const auto& row : rows) {
    for (const auto cut : {Cut::whole, Cut::bytes}) {
      CAPTURE(row.content);
      CHECK(tls_of("", row.content, cut) == row.tls);
    }
  }
}

TEST_CASE("R02: with the REQUIRETLS parameter the header field is ignored, and relayed") {
  for (const auto cut : {Cut::whole, Cut::bytes}) {
    CHECK(tls_of(" REQUIRETLS", "TLS-Required: No\r\n\r\nbody\r\n", cut, inside_tls()) ==
          MessageTls::required);
    CHECK(tls_of("", "TLS-Required: No\r\n\r\nbody\r\n", cut, inside_tls()) ==
          MessageTls::optional);
  }
}

TEST_CASE("R01: BDAT brings the header field too, cut anywhere") {
  const std::string content = "Subject: x\r\nTLS-Required: No\r\n\r\nbody\r\n";
  for (std::size_t at = 1; at < content.size(); ++at) {
    auto server = after_ehlo();
    server.receive("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\nBDAT " +
                   std::to_string(at) + "\r\n" + content.substr(0, at) + "BDAT " +
                   std::to_string(content.size() - at) + " LAST\r\n" + content.substr(at));
    REQUIRE(server.messages.size() == 1);
    CHECK(server.messages[0].transaction.tls == MessageTls::optional);
  }
}

}  // namespace relay::smtp::testing
