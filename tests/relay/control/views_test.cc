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

}  // namespace
}  // namespace relay::control
