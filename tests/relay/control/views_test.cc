#include "relay/control/views.h"

#include <doctest/doctest.h>

namespace relay::control {
namespace {

TEST_CASE("a message's details name what it asks of TLS") {
  using enum spool::MessageTls;
  spool::Envelope envelope;
  CHECK(message_details(envelope)["tls"] == "normal");
  envelope.tls = required;
  CHECK(message_details(envelope)["tls"] == "required");
  envelope.tls = optional;
  CHECK(message_details(envelope)["tls"] == "optional");
}

TEST_CASE("a message's details name the listener that it came in by, if there was one") {
  spool::Envelope envelope;
  CHECK_FALSE(message_details(envelope).contains("listener"));
  envelope.listener = "192.0.2.1:2525";
  CHECK(message_details(envelope)["listener"] == "192.0.2.1:2525");
}

}  // namespace
}  // namespace relay::control
