// Feeds answers to a DeliveryAttempt in place of a driver, and makes the values it is fed with.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/delivery/attempt.h"

namespace relay::delivery {

using Result = RecipientOutcome::Result;
using smtp::TlsRequirement;

inline constexpr net::WallTime kNow{std::chrono::seconds(1'800'000'000)};

inline net::DomainName name(std::string_view text) {
  return net::DomainName::parse(text).value();
}

inline std::shared_ptr<const sts::CachedPolicy> policy(std::string_view mode, std::string_view mx,
                                                       std::string id = "1") {
  const std::string body = "version: STSv1\nmode: " + std::string(mode) +
                           "\nmx: " + std::string(mx) + "\nmax_age: 86400\n";
  auto cached = std::make_shared<sts::CachedPolicy>();
  cached->domain = "example.net";
  cached->id = std::move(id);
  cached->policy = sts::parse_policy(body, sts::Strictness::strict).policy.value();
  cached->fetched_at = kNow;
  cached->expires_at = kNow + std::chrono::hours(24);
  return cached;
}

inline sts::PolicyVerdict verdict(std::shared_ptr<const sts::CachedPolicy> in_force) {
  sts::PolicyVerdict result;
  result.policy = std::move(in_force);
  result.source =
      result.policy ? sts::PolicyVerdict::Source::cache : sts::PolicyVerdict::Source::none;
  return result;
}

inline net::DnsResult mx(std::vector<net::DnsMx> records,
                         net::DnssecState dnssec = net::DnssecState::insecure) {
  net::DnsAnswer answer;
  answer.records = std::move(records);
  answer.dnssec = dnssec;
  return answer;
}

inline net::DnsResult a(std::vector<std::string> texts) {
  net::DnsAnswer answer;
  answer.records = std::move(texts);
  return answer;
}

inline const net::DnsResult kNoData = net::DnsNoRecord{.name_exists = true};

inline std::shared_ptr<const spool::Envelope> envelope(
    int recipients = 1, spool::Origin origin = spool::Origin::submitted) {
  auto result = std::make_shared<spool::Envelope>();
  result->id = spool::MessageId(42);
  result->sender = "s@example.org";
  result->origin = origin;
  for (int i = 0; i < recipients; ++i) {
    spool::Recipient recipient;
    recipient.index = static_cast<std::uint32_t>(i);
    recipient.address = "r" + std::to_string(i) + "@example.net";
    recipient.domain = "example.net";
    result->recipients.push_back(recipient);
  }
  return result;
}

struct Walk {
  explicit Walk(std::shared_ptr<const spool::Envelope> message = envelope(),
                NextHop hop = NextHop{MxLookup{name("example.net")}, 25,
                                      NextHop::Origin::recipient_domain})
      : attempt(settings(), std::move(hop), std::move(message)) {}

  Walk(AttemptSettings settings, std::shared_ptr<const spool::Envelope> message)
      : attempt(std::move(settings),
                NextHop{MxLookup{name("example.net")}, 25, NextHop::Origin::recipient_domain},
                std::move(message)) {}

  static AttemptSettings settings() {
    AttemptSettings settings;
    settings.own_name = "relay.example.org";
    settings.shuffle = [](std::span<MxHost>) {};
    return settings;
  }
  /// Runs until the first conversation (or the end), with one address per host.
  Step to_hosts(const sts::PolicyVerdict& in_force, const net::DnsResult& records) {
    Step step = attempt.start(kNow);
    REQUIRE(std::holds_alternative<FindMx>(step));
    step = attempt.on_mx(records, kNow);
    REQUIRE(std::holds_alternative<FindPolicy>(step));
    return addresses(attempt.on_policy(in_force, kNow));
  }
  Step addresses(Step step) {
    while (std::holds_alternative<FindAddresses>(step)) {
      step = attempt.on_addresses(a({"203.0.113.5"}), kNoData, kNow);
    }
    return step;
  }
  Step report(const ConversationReport& result) {
    return addresses(attempt.on_conversation(result, kNow));
  }

  DeliveryAttempt attempt;
};

inline std::string host_of(const Step& step) {
  const auto* converse = std::get_if<Converse>(&step);
  return converse != nullptr && converse->host ? converse->host->text() : "";
}

inline net::TlsOutcome verified() {
  return net::TlsVerified{{"TLSv1.3", "TLS_AES_256_GCM_SHA384", false}};
}
inline net::TlsOutcome expired() {
  return net::TlsUnverified{{"TLSv1.3", "TLS_AES_256_GCM_SHA384", false},
                            {{net::CertificateFaultKind::expired, "X509_V_ERR_CERT_HAS_EXPIRED"}}};
}

inline smtp::RecipientResult result(smtp::Disposition disposition, smtp::Stage stage, int code) {
  smtp::RecipientResult recipient;
  recipient.disposition = disposition;
  recipient.stage = stage;
  recipient.reply = smtp::Reply{code, {"text"}};
  recipient.enhanced_code = std::to_string(code / 100) + ".0.0";
  return recipient;
}

inline SessionUsed transaction(std::vector<smtp::RecipientResult> recipients,
                               std::optional<net::TlsOutcome> tls = verified()) {
  SessionUsed session;
  session.tls = std::move(tls);
  session.server_name = "mx.example.net";
  session.local_ip = "192.0.2.1";
  session.transaction = smtp::TransactionResult{std::move(recipients)};
  return session;
}

inline SessionUsed delivered(std::optional<net::TlsOutcome> tls = verified()) {
  return transaction({result(smtp::Disposition::delivered, smtp::Stage::final_dot, 250)},
                     std::move(tls));
}

inline SessionUsed ended(smtp::SessionEnd::Kind kind, smtp::Stage stage,
                         std::optional<net::TlsOutcome> tls = std::nullopt) {
  SessionUsed session;
  session.tls = std::move(tls);
  session.end = smtp::SessionEnd{kind, stage, std::nullopt, "it ended"};
  return session;
}

inline const RecipientOutcome& only(const Step& step) {
  const auto* finished = std::get_if<Finished>(&step);
  REQUIRE(finished != nullptr);
  REQUIRE(finished->outcomes.size() == 1);
  return finished->outcomes.front();
}

inline rpt::ResultType failure_type(const rpt::SessionResult& session) {
  REQUIRE_FALSE(session.policies.empty());
  REQUIRE_FALSE(session.policies.front().failures.empty());
  return session.policies.front().failures.front().type;
}

}  // namespace relay::delivery
