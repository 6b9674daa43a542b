#include "relay/staging/placement.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace relay::staging {
namespace {

spool::Envelope envelope(const std::vector<std::string>& addresses) {
  spool::Envelope made;
  for (const std::string& address : addresses) {
    spool::Recipient recipient;
    recipient.index = static_cast<std::uint32_t>(made.recipients.size());
    recipient.address = address;
    recipient.domain = address.substr(address.rfind('@') + 1);
    made.recipients.push_back(recipient);
  }
  return made;
}

/// "address in domain, …" of a placed envelope.
std::string placed(const conf::Staging& staging, const std::vector<std::string>& addresses) {
  spool::Envelope made = envelope(addresses);
  place(made, staging);
  std::string text;
  std::uint32_t index = 0;
  for (const spool::Recipient& recipient : made.recipients) {
    CHECK(recipient.index == index++);
    text += (text.empty() ? "" : ", ") + recipient.address + " in " + recipient.domain;
  }
  return text;
}

TEST_CASE("staging: what a relay sinks or captures goes nowhere, by a mark that stays") {
  conf::Staging staging;
  staging.sink = true;
  CHECK(placed(staging, {"a@x.example", "b@y.example"}) ==
        "a@x.example in [staging:nowhere], b@y.example in [staging:nowhere]");
  staging = {};
  staging.capture = "/srv/mail";
  CHECK(placed(staging, {"a@x.example"}) == "a@x.example in [staging:nowhere]");
  CHECK(mark_of("[staging:nowhere]") == Mark::nowhere);
  CHECK(true_domain("[staging:nowhere]").empty());
}

TEST_CASE("staging: a dry run keeps each domain, behind its mark") {
  conf::Staging staging;
  staging.dry_run = true;
  CHECK(placed(staging, {"a@x.example", "b@y.example"}) ==
        "a@x.example in [staging:dry-run]x.example, b@y.example in [staging:dry-run]y.example");
  CHECK(mark_of("[staging:dry-run]x.example") == Mark::dry_run);
  CHECK(true_domain("[staging:dry-run]x.example") == "x.example");
  CHECK(mark_of("x.example") == Mark::none);
  CHECK(true_domain("x.example") == "x.example");
}

TEST_CASE("staging: redirected recipients become one, and those allowed stay") {
  conf::Staging staging;
  staging.redirect_to = "qa@test.example";
  staging.allow_recipients = {"*@ours.example"};
  CHECK(placed(staging, {"a@x.example", "b@OURS.example", "c@y.example", "qa@test.example"}) ==
        "qa@test.example in test.example, b@OURS.example in OURS.example");
  spool::Envelope made = envelope({"a+b@x.example"});
  place(made, staging);
  CHECK(made.recipients.front().orcpt == "rfc822;a+2Bb@x.example");
  made = envelope({"a@x.example"});
  made.recipients.front().orcpt = "rfc822;first@x.example";
  place(made, staging);
  CHECK(made.recipients.front().orcpt == "rfc822;first@x.example");
}

TEST_CASE("staging: a fault at delivery keeps its recipient from being redirected") {
  conf::Staging staging;
  staging.redirect_to = "qa@test.example";
  staging.faults.push_back({"bounce@*", conf::StagingFault::At::delivery, "550 no", {}, {}});
  staging.faults.push_back({"later@*", conf::StagingFault::At::submission, "451 no", {}, {}});
  CHECK(placed(staging, {"bounce@x.example", "later@x.example"}) ==
        "bounce@x.example in [staging:nowhere], qa@test.example in test.example");
  CHECK_FALSE(permits(staging, "bounce@x.example"));
  CHECK_FALSE(permits(staging, "a@x.example"));
  CHECK(permits(staging, "qa@test.example"));
}

TEST_CASE("staging: header fields name the relay, the modes and every recipient as it was given") {
  conf::Staging staging;
  staging.confirm = "relay.test";
  staging.sink = true;
  staging.soft_bounce = true;
  CHECK(header_fields(staging, {"a@x.example", "b@y.example"}) ==
        "X-Stsrelay-Staging: sink,soft-bounce; relay=relay.test\r\n"
        "X-Stsrelay-Original-To: <a@x.example>\r\nX-Stsrelay-Original-To: <b@y.example>\r\n");
}

TEST_CASE("staging: our own notices go where all mail goes") {
  conf::Staging staging;
  staging.confirm = "relay.test";
  staging.redirect_to = "qa@test.example";
  spool::Notice notice{envelope({"sender@real.example"}), "Subject: x\r\n\r\n"};
  place(notice, staging);
  CHECK(notice.envelope.recipients.front().address == "qa@test.example");
  CHECK(
      notice.content.starts_with("X-Stsrelay-Staging: redirect; relay=relay.test\r\n"
                                 "X-Stsrelay-Original-To: <sender@real.example>\r\nSubject"));
  CHECK(notice.envelope.size == notice.content.size());
}

}  // namespace
}  // namespace relay::staging
