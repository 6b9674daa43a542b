// What the tests of ClientSession share.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "relay/smtp/client_session.h"
#include "tests/support/dialogue.h"

namespace relay::smtp::testing {

using support::Cut;
using support::play;
using Demand = ClientSession::Demand;
using Kind = SessionEnd::Kind;

inline ClientSession session(TlsRequirement requirement = TlsRequirement::opportunistic(),
                             bool force_8bit = false) {
  ClientSettings settings;
  settings.helo_name = "relay.example";
  settings.tls = requirement;
  settings.force_8bit = force_8bit;
  return ClientSession(settings);
}

inline ClientTransaction message(std::vector<std::string> recipients) {
  ClientTransaction transaction;
  transaction.sender = "a@sender.example";
  for (auto& address : recipients) {
    transaction.recipients.push_back({std::move(address), {}, {}});
  }
  transaction.size = 100;
  return transaction;
}

/// A reply to EHLO with keywords, which commas part.
inline std::string ehlo_reply(std::string_view keywords) {
  std::string reply = "250-mx.example\r\n";
  while (!keywords.empty()) {
    const auto comma = std::min(keywords.find(','), keywords.size());
    reply.append("250-").append(keywords.substr(0, comma)).append("\r\n");
    keywords.remove_prefix(std::min(comma + 1, keywords.size()));
  }
  return reply + "250 HELP\r\n";
}

/// A session that is ready, in plaintext, with the extensions given as EHLO lines.
inline ClientSession ready(std::string_view keywords, bool force_8bit = false) {
  auto client = session(TlsRequirement::opportunistic(), force_8bit);
  play(client, 'S', "S: 220 mx.example ESMTP\nC: EHLO relay.example");
  client.receive(ehlo_reply(keywords));
  REQUIRE(client.demand() == Demand::ready);
  return client;
}

/// "delivered@final-dot 2.0.0, …": what became of the recipients.
inline std::string summary(ClientSession& client) {
  const auto result = client.take_result();
  if (!result) {
    return "none";
  }
  std::string text;
  for (const auto& recipient : result->recipients) {
    constexpr std::string_view kWords[] = {"delivered",  "deferred",  "rejected",
                                           "unsuitable", "not_tried", "unknown"};
    text += text.empty() ? "" : ", ";
    text += kWords[static_cast<int>(recipient.disposition)];
    text += "@" + std::string(name(recipient.stage)) + " " + recipient.enhanced_code;
    text += recipient.too_many ? " too_many" : "";
    CHECK_FALSE(recipient.enhanced_code.empty());
    CHECK((recipient.reply.has_value() || !recipient.detail.empty()));
  }
  return text;
}

}  // namespace relay::smtp::testing
