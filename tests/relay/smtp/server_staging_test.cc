// ServerSession at a relay in staging.
#include <chrono>
#include <string>

#include <doctest/doctest.h>

#include "tests/relay/smtp/server_fixture.h"

namespace relay::smtp::testing {

using namespace std::chrono_literals;

namespace {

ServerSettings with_faults() {
  auto result = settings();
  result.staging = "sink,faults";
  result.recipient_fault = [](const std::string& address) -> std::optional<RecipientFault> {
    using Connection = RecipientFault::Connection;
    const auto local = address.substr(0, address.find('@'));
    if (local == "slow") {
      return RecipientFault{"", 2500ms, Connection::kept};
    }
    if (local == "drop") {
      return RecipientFault{"", 0ms, Connection::dropped};
    }
    return local == "fine" ? std::nullopt
                           : std::optional(RecipientFault{local + " 4.3.0 staged", 0ms, {}});
  };
  return result;
}

}  // namespace

TEST_CASE("staging: greeting, EHLO and HELO say so") {
  AutoServer server(with_faults());
  CHECK(server.take_output() == "220 relay.example ESMTP stsrelay STAGING: sink,faults\r\n");
  server.receive("EHLO client.example\r\n");
  CHECK(server.take_output().starts_with("250-relay.example STAGING: sink,faults\r\n"));
  server.receive("HELO client.example\r\n");
  CHECK(server.take_output() == "250 relay.example STAGING: sink,faults\r\n");
}

TEST_CASE("staging: a recipient's fault is its answer, however many are tried, and others go on") {
  auto server = after_ehlo(with_faults());
  server.receive("MAIL FROM:<a@b.example>\r\nRCPT TO:<fine@d.example>\r\n");
  CHECK(codes(server.take_output()) == "250 250");
  for (int i = 0; i < 100; ++i) {
    server.receive("RCPT TO:<451@d.example>\r\n");
    REQUIRE(server.take_output() == "451 4.3.0 staged\r\n");
  }
  server.receive("RCPT TO:<550@d.example>\r\nRCPT TO:<250@d.example>\r\nDATA\r\n");
  CHECK(codes(server.take_output()) == "550 250 354");
  CHECK(server.session.transaction().recipients.size() == 2);
}

TEST_CASE("staging: a slow recipient is answered after its delay") {
  ServerSession server(with_faults());
  server.receive("EHLO client.example\r\nMAIL FROM:<a@b.example>\r\n");
  server.checked(Room::available);
  (void)server.take_output();
  server.receive("RCPT TO:<slow@d.example>\r\nRCPT TO:<fine@d.example>\r\n");
  CHECK(server.demand() == Demand::pause);
  CHECK(server.pause_time() == 2500ms);
  CHECK(server.take_output().empty());
  server.resumed();
  CHECK(codes(server.take_output()) == "250 250");
}

TEST_CASE("staging: a dropped connection ends without a word, and the log knows why") {
  auto server = after_ehlo(with_faults());
  server.receive("MAIL FROM:<a@b.example>\r\n");
  (void)server.take_output();
  server.receive("RCPT TO:<drop@d.example>\r\nRSET\r\n");
  CHECK(server.take_output().empty());
  CHECK(server.session.demand() == Demand::close);
  const auto rejections = server.session.take_rejections();
  REQUIRE(rejections.size() == 1);
  CHECK(rejections.front().end == "staging");
  CHECK(rejections.front().recipients == "drop@d.example");
}

TEST_CASE("staging: a fault with 421 ends the session") {
  auto server = after_ehlo(with_faults());
  server.receive("MAIL FROM:<a@b.example>\r\nRCPT TO:<421@d.example>\r\n");
  CHECK(codes(server.take_output()) == "250 421");
  CHECK(server.session.demand() == Demand::close);
}

TEST_CASE("soft_bounce: what we would refuse for good is refused for now, but not wrong commands") {
  auto as = settings();
  as.refusals = Refusals::softened;
  as.relaying = Relaying::denied;
  auto server = after_ehlo(std::move(as));
  server.receive("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\nNONSENSE\r\n");
  CHECK(server.take_output() ==
        "250 2.1.0 Ok\r\n450 4.7.1 Relaying denied\r\n500 5.5.1 Command not recognized\r\n");
}

}  // namespace relay::smtp::testing
