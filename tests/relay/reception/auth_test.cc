// Reception: who may relay by AUTH or by a certificate.
#include <functional>
#include <memory>
#include <string>

#include <doctest/doctest.h>

#include "relay/reception/password.h"
#include "tests/relay/reception/tls_fixture.h"

namespace relay::reception::testing {
namespace {

using Mode = conf::ListenerTls::Mode;

// "\0tim\0tanstaaftanstaaf", RFC 4616 §4; "\0tim\0wrong".
const std::string kRight = "AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n";
const std::string kWrong = "AUTH PLAIN AHRpbQB3cm9uZw==\r\n";
const std::string kMail =
    "MAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\nDATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n";

ListenerSettings with_users(const support::Certificate& issuer) {
  auto listener = tls_listener(Mode::implicit, issuer);
  listener.rules.auth.required = true;
  listener.files.users = std::make_shared<const Users>(
      *Users::parse("tim:" + *hash_password("tanstaaftanstaaf", HashMethod::sha512_crypt)));
  return listener;
}

}  // namespace

TEST_CASE("a user may relay, and the log says who it was but no secret") {
  const auto issuer = authority();
  World world({}, with_users(issuer));
  const auto heard = converse(world, issuer, {"", "", "EHLO c\r\n" + kRight + kMail});
  CHECK(heard.find("235 2.7.0 ") != std::string::npos);
  REQUIRE(world.queue().size() == 1);
  CHECK(world.content(world.queue()[0].id).find(" with ESMTPSA id ") != std::string::npos);
  CHECK(world.log().find(" user=tim ") != std::string::npos);
  CHECK(world.log().find("AHRpb") == std::string::npos);
  CHECK(world.log().find("tanstaaf") == std::string::npos);
}

TEST_CASE("a wrong password: 535 after a wait, a line with stable keys, and no relaying") {
  const auto issuer = authority();
  World world({}, with_users(issuer));
  const auto heard = converse(world, issuer, {"", "", "EHLO c\r\n" + kWrong + kMail});
  CHECK(heard.find("535 5.7.8 ") != std::string::npos);
  CHECK(heard.find("530 5.7.0 Authentication required") != std::string::npos);
  CHECK(world.queue().empty());
  CHECK(world.log().find(
            "event=auth-failed client=127.0.0.1 user=tim reason=wrong-credentials helo=c") !=
        std::string::npos);
  CHECK(world.log().find("d3Jvbmc") == std::string::npos);
}

TEST_CASE("after too many failures of an address not even the right password counts") {
  const auto issuer = authority();
  conf::Config config;
  config.limits.auth_failures = 1;
  World world(config, with_users(issuer));
  const auto heard = converse(world, issuer, {"", "", "EHLO c\r\n" + kWrong + kRight + kMail});
  CHECK(heard.find("535 5.7.8 ") != std::string::npos);
  CHECK(heard.find("454 4.7.0 Too many failed authentications") != std::string::npos);
  CHECK(world.queue().empty());
  CHECK(world.log().find("user=tim reason=too-many-failures") != std::string::npos);
}

TEST_CASE("a client that leaves while the answer to its password waits leaves nothing behind") {
  const auto issuer = authority();
  World world({}, with_users(issuer));
  TlsClient client(world, issuer, {"", "", "EHLO c\r\n" + kWrong});
  const std::function<void()> look = [&] {
    if (world.log().find("event=auth-failed") == std::string::npos) {
      world.loop().post(look);
      return;
    }
    client.hang_up();
    world.reception().drain([&world] { world.loop().stop(); });
  };
  world.loop().post(look);
  world.loop().run();
  CHECK(world.reception().sessions() == 0);
  CHECK(client.heard().find("535") == std::string::npos);
}

}  // namespace relay::reception::testing
