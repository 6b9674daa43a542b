#include "relay/reception_counts.h"

#include <string_view>
#include <vector>

#include <doctest/doctest.h>

TEST_CASE("acceptances, refusals by command and failed logins are counted as they are logged") {
  relay::ReceptionCounts counts;
  const auto see = [&counts](std::string_view event, const std::vector<relay::LogField>& fields) {
    counts.observe(relay::LogEntry{"t", conf::LogLevel::info, event, fields});
  };
  see("accepted", {{"id", "M1"}});
  see("accepted", {{"id", "M2"}});
  see("auth-failed", {});
  see("rejected", {{"stage", "RCPT"}});
  see("rejected", {{"stage", "RCPT"}});
  see("rejected", {{"stage", "whatever a client says"}});
  see("session", {});
  CHECK(counts.accepted() == 2);
  CHECK(counts.auth_failures() == 1);
  CHECK(counts.rejected().at("RCPT") == 2);
  CHECK(counts.rejected().at("other") == 1);
  CHECK(counts.rejected().at("DATA") == 0);
}
