#include "relay/delivery/reply_words.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/delivery/walk.h"

namespace relay::delivery {

TEST_CASE("a 5xx about the address we come from is told from one about anything else") {
  struct Row {
    int code;
    const char* text;
    bool address;
  };
  const std::vector<Row> rows{
      {550, "5.7.25 [2001:db8::1] The IP address sending this message does not have a PTR record",
       true},
      {550,
       "5.7.1 [2001:db8::1] Our system has detected that this message does not meet IPv6 sending "
       "guidelines regarding PTR records and authentication",
       true},
      {550, "5.7.25 go away", true},
      {550, "5.7.1 Service unavailable, client host [192.0.2.1] blocked using Spamhaus", true},
      {554, "Your address is on our blocklist", true},
      {554, "5.7.1 no reverse DNS for you", true},
      {450, "4.7.25 no PTR record", false},  // is tried again anyway
      {550, "5.1.1 no such user, ask the ptr office", false},
      {550, "5.7.26 unauthenticated email from example.org is not accepted (DMARC)", false},
      {550, "5.7.26 the IP address fails SPF for example.org", true},
      {550, "5.7.1 this message looks like spam", false},
      {550, "5.7.1 encryptr and scripts are unwanted", false},  // words, not parts of them
      {250, "2.0.0 your PTR is fine", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(blames_address(smtp::Reply{row.code, {row.text}}) == row.address);
  }
}

TEST_CASE("which replies are about credentials, and what a session shows of them") {
  using Kind = CredentialsVerdict::Kind;
  const auto at_mail = [](int code) {
    return transaction(
        {result(code >= 500 ? smtp::Disposition::rejected : smtp::Disposition::deferred,
                smtp::Stage::mail, code)});
  };
  for (const int code : {530, 534, 535, 538}) {
    CAPTURE(code);
    CHECK(credentials_verdict(at_mail(code)).kind == Kind::refused);
    const auto kinder = without_credential_refusals(*at_mail(code).transaction);
    CHECK(kinder.recipients.front().disposition == smtp::Disposition::deferred);
    CHECK(kinder.recipients.front().enhanced_code == "4.7.0");
  }
  for (const int code : {550, 554, 451}) {
    CAPTURE(code);
    CHECK(credentials_verdict(at_mail(code)).kind == Kind::accepted);
    CHECK(without_credential_refusals(*at_mail(code).transaction).recipients.front().disposition ==
          at_mail(code).transaction->recipients.front().disposition);
  }
  CHECK(credentials_verdict(delivered()).kind == Kind::accepted);
  CHECK(credentials_verdict(ConnectFailed{"refused"}).kind == Kind::untested);
  CHECK(credentials_verdict(ended(smtp::SessionEnd::Kind::lost, smtp::Stage::auth)).kind ==
        Kind::untested);
  const auto refused = credentials_verdict(
      ended(smtp::SessionEnd::Kind::credentials, smtp::Stage::auth, verified()));
  CHECK(refused.kind == Kind::refused);
  CHECK(refused.text == "it ended");
}

}  // namespace relay::delivery
