// What DeliveryAttempt makes of a conversation that was under way when its time ran out.
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include <doctest/doctest.h>

#include "relay/delivery/attempt.h"

namespace {

using namespace relay::delivery;
namespace net = relay::net;
namespace smtp = relay::smtp;
using Result = RecipientOutcome::Result;

constexpr net::WallTime kNow{std::chrono::sys_days{std::chrono::year{2026} / 3 / 4}};

std::shared_ptr<const relay::spool::Envelope> envelope() {
  auto made = std::make_shared<relay::spool::Envelope>();
  made->sender = "sender@example.org";
  for (std::uint32_t index = 0; index < 3; ++index) {
    relay::spool::Recipient recipient;
    recipient.index = index;
    recipient.address = "user@example.com";
    recipient.domain = "example.com";
    made->recipients.push_back(std::move(recipient));
  }
  return made;
}

smtp::RecipientResult result(smtp::Disposition disposition, smtp::Stage stage, int code) {
  smtp::RecipientResult made;
  made.disposition = disposition;
  made.stage = stage;
  made.reply = smtp::Reply{code, {"text"}};
  made.enhanced_code = std::to_string(code / 100) + ".0.0";
  return made;
}

}  // namespace

TEST_CASE("the deadline: what the conversation settled counts, the rest is deferred") {
  AttemptSettings settings;
  settings.own_name = "relay.example.org";
  DeliveryAttempt attempt(settings, {FixedHost{*net::DomainName::parse("mx.example")}, 25},
                          envelope());
  std::ignore = attempt.start(kNow);
  std::ignore = attempt.on_policy(sts::PolicyVerdict{}, kNow);
  net::DnsAnswer addresses;
  addresses.records = std::vector<std::string>{"203.0.113.5"};
  const Step step = attempt.on_addresses(addresses, net::DnsNoRecord{.name_exists = true}, kNow);
  REQUIRE(std::holds_alternative<Converse>(step));
  SessionUsed session;
  session.tls = net::TlsVerified{{"TLSv1.3", "TLS_AES_256_GCM_SHA384", false}};
  auto too_many = result(smtp::Disposition::deferred, smtp::Stage::rcpt, 452);
  too_many.too_many = true;
  session.transaction = smtp::TransactionResult{
      {result(smtp::Disposition::delivered, smtp::Stage::final_dot, 250),
       result(smtp::Disposition::rejected, smtp::Stage::rcpt, 550), std::move(too_many)}};
  const Finished finished = attempt.on_deadline(session, kNow);
  REQUIRE(finished.outcomes.size() == 3);
  CHECK(finished.outcomes[0].result == Result::delivered);
  CHECK(finished.outcomes[1].result == Result::failed);
  CHECK(finished.outcomes[2].result == Result::deferred);
  CHECK(finished.sessions.size() == 1);
}
