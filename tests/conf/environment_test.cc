#include "conf/environment.h"

#include <map>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

std::optional<std::string> variable(const std::string& name) {
  static const std::map<std::string, std::string> all{
      {"NAME", "relay.example"}, {"PORT", "2525"},  {"EMPTY", ""},    {"QUOTED", "a: [b] # \"c\""},
      {"NESTED", "${NAME}"},     {"LINES", "a\nb"}, {"BYTES", "\xff"}};
  const auto found = all.find(name);
  return found == all.end() ? std::nullopt : std::optional(found->second);
}

TEST_CASE("environment: variables are replaced in values, of lists too, and stay text") {
  const auto config = conf::parse(
      "hostname: ${NAME}\n"
      "listen: [{address: '127.0.0.1:${PORT}'}]\n"
      "limits:\n  recipients: ${PORT}\n"
      "queue: {path: '/${QUOTED}/${NESTED}${EMPTY}/$HOME'}\n",
      variable);
  REQUIRE(config);
  CHECK(config->hostname == "relay.example");
  CHECK(config->listen.at(0).address.text() == "127.0.0.1:2525");
  CHECK(config->limits.recipients == 2525);
  CHECK(config->queue.path == "/a: [b] # \"c\"/${NAME}/$HOME");
}

TEST_CASE("environment: what cannot be replaced is an error with its line and key") {
  struct Row {
    std::string value, reason;
  };
  for (const Row& row : std::vector<Row>{
           {"${MISSING}", "names the environment's variable MISSING, which is not set; set it"},
           {"${LINES}", "names the environment's variable LINES, whose value is no line of text"},
           {"${BYTES}", "names the environment's variable BYTES, whose value is no line of text"},
           {"a${NAME", "has \"${\" without the \"}\" that ends it"},
           {"${NO-NAME}",
            "\"NO-NAME\" in \"${…}\" is no name of a variable; write for example ${MAIL_NAME}"}}) {
    CAPTURE(row.value);
    const auto config =
        conf::parse("log: {level: info}\nhostname: '" + row.value + "'\n", variable);
    REQUIRE_FALSE(config);
    REQUIRE(config.error().size() == 1);
    CHECK(config.error()[0] == conf::ConfigError{2, "hostname", row.reason});
  }
}

TEST_CASE("environment: without one, a dollar sign is a dollar sign") {
  const auto config = conf::parse("queue: {path: '/${NAME}'}");
  REQUIRE(config);
  CHECK(config->queue.path == "/${NAME}");
}

}  // namespace
