#include "relay/delivery/dialogue.h"

#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "relay/delivery/dialogue_trace.h"

namespace {

using namespace std::chrono_literals;
using relay::delivery::DialogueLines;
using relay::delivery::DialogueTrace;

struct Shown {
  Shown() {
    lines.send_to([this](std::string_view direction, const std::string& text) {
      said += std::string(direction) + " " + text + "\n";
    });
  }
  std::string said;
  DialogueLines lines;
};

TEST_CASE("commands and replies are shown, replies in whole lines however they come") {
  Shown shown;
  shown.lines.received("220 mx.a.ex");
  shown.lines.received("ample\r\n");
  shown.lines.sent("EHLO relay.example\r\n");
  shown.lines.received("250-mx\r\n250 PIPELINING\r\n");
  shown.lines.sent("MAIL FROM:<a@a.example>\r\nRCPT TO:<b@b.example>\r\nDATA\r\n");
  CHECK(shown.said ==
        "received 220 mx.a.example\nsent EHLO relay.example\nreceived 250-mx\n"
        "received 250 PIPELINING\nsent MAIL FROM:<a@a.example>\n"
        "sent RCPT TO:<b@b.example>\nsent DATA\n");
}

TEST_CASE("no credentials, no content and nothing unknown is shown") {
  Shown shown;
  shown.lines.sent("AUTH PLAIN AHVzZXIAcGFzc3dvcmQ=\r\n");
  shown.lines.sent("auth LOGIN\r\n");
  shown.lines.received("334 VXNlcm5hbWU6\r\n");
  shown.lines.sent("dXNlcg==\r\n");
  shown.lines.received("334 UGFzc3dvcmQ6\r\n");
  shown.lines.sent("QUIT\r\n");  // a password may be any word
  shown.lines.received("235 ok\r\n");
  shown.lines.sent("Subject: secret\r\n");
  shown.lines.sent("BDAT 17 LAST\r\nMAIL of content\r\n");
  CHECK(shown.said ==
        "sent AUTH PLAIN (hidden)\nsent AUTH LOGIN (hidden)\nreceived 334 (hidden)\n"
        "sent (hidden)\nreceived 334 (hidden)\nsent (hidden)\nreceived 235 ok\n"
        "sent (hidden)\nsent BDAT 17 LAST\n");
}

TEST_CASE("what is sent during AUTH is hidden, whatever the server said and however it looks") {
  Shown shown;
  shown.lines.sent_credentials("AUTH LOGIN QUIT\r\n");
  shown.lines.received("334 UGFzc3dvcmQ6\r\n250 ok\r\n");
  shown.lines.sent_credentials("QUIT\r\n");
  shown.lines.sent("QUIT\r\n");
  CHECK(shown.said ==
        "sent AUTH LOGIN (hidden)\nreceived 334 (hidden)\nreceived 250 ok\nsent (hidden)\n"
        "sent QUIT\n");
}

TEST_CASE("TLS is shown with the chain that the peer showed, and so is its failure") {
  Shown shown;
  relay::net::TlsParameters parameters;
  parameters.version = "TLSv1.3";
  parameters.cipher = "TLS_AES_128_GCM_SHA256";
  relay::net::CertificateSummary leaf;
  leaf.dns_names = {"mx.a.example", "mx2.a.example"};
  leaf.subject = "CN=mx.a.example";
  leaf.issuer = "CN=Issuer";
  leaf.valid_until = relay::net::WallTime(1'800'000'000s);
  parameters.chain = {leaf};
  shown.lines.handshake(relay::net::TlsVerified{parameters});
  shown.lines.handshake(relay::net::TlsFailed{"tls-alert-40"});
  CHECK(shown.said ==
        "tls TLSv1.3 TLS_AES_128_GCM_SHA256 verified\n"
        "tls certificate 0: subject \"CN=mx.a.example\", issuer \"CN=Issuer\", valid ? to "
        "2027-01-15, names mx.a.example,mx2.a.example\n"
        "tls failed (tls-alert-40)\n");
}

TEST_CASE("nobody listens: nothing is gathered") {
  DialogueLines lines;
  CHECK_FALSE(lines.wanted());
  lines.received("220 x\r\n");
  lines.sent("QUIT\r\n");
}

TEST_CASE("a trace is of what was named, for a limited time and so many lines") {
  DialogueTrace trace;
  const relay::net::SteadyTime now{100h};
  CHECK_FALSE(trace.wants("M1", "a.example", now));
  trace.start("a.example", now + 10min);
  trace.start("M2", now + 20min);
  CHECK(trace.wants("M1", "a.example", now + 9min));
  CHECK(trace.wants("M2", "b.example", now + 9min));
  CHECK_FALSE(trace.wants("M1", "b.example", now + 9min));
  CHECK_FALSE(trace.wants("M1", "a.example", now + 10min));
  CHECK_FALSE(trace.wants("M2", "b.example", now + 20min));
  for (std::size_t i = 1; i < DialogueTrace::kMostLines; ++i) {
    REQUIRE(trace.take_line() == DialogueTrace::Line::taken);
  }
  CHECK(trace.take_line() == DialogueTrace::Line::last);
  CHECK(trace.take_line() == DialogueTrace::Line::none);
  trace.start("a.example", now);
  CHECK(trace.take_line() == DialogueTrace::Line::taken);
}

}  // namespace
