#include "relay/delivery/reply_words.h"

#include <algorithm>
#include <array>

#include "relay/smtp/ascii.h"

namespace relay::delivery {
namespace {

/// Lower-case words of letters and digits, a blank before and after each.
std::string words_of(std::string_view text) {
  std::string words(1, ' ');
  words.reserve(text.size() + 2);
  for (const char c : text) {
    if (smtp::is_alnum(c)) {
      words += smtp::to_lower(c);
    } else if (words.back() != ' ') {
      words += ' ';
    }
  }
  return words.back() == ' ' ? words : words + ' ';
}

}  // namespace

bool blames_address(const smtp::Reply& reply) {
  constexpr std::array<std::string_view, 13> kAddressWords{
      " ptr ",         " rdns ",      " reverse dns ", " ipv6 ",      " ip address ",
      " client host ", " dnsbl ",     " rbl ",         " blocklist ", " blocklisted ",
      " block list ",  " blacklist ", " blacklisted "};
  if (reply.severity() != 5) {
    return false;
  }
  const std::string code = reply.enhanced_code();
  // RFC 3463 §3.8: x.7.x is about security or policy; RFC 7372 §3.3: x.7.25 about reverse DNS.
  if (!code.empty() && !code.starts_with("5.7.")) {
    return false;
  }
  const std::string words = words_of(reply.text());
  return code == "5.7.25" || std::ranges::any_of(kAddressWords, [&](std::string_view word) {
           return words.find(word) != std::string::npos;
         });
}

bool wants_credentials(const smtp::Reply& reply) {
  return reply.code == 530 || reply.code == 534 || reply.code == 535 || reply.code == 538;
}

CredentialsVerdict credentials_verdict(const ConversationReport& report) {
  const auto* session = std::get_if<SessionUsed>(&report);
  if (session == nullptr) {
    return {};
  }
  if (session->end && session->end->kind == smtp::SessionEnd::Kind::credentials) {
    return {CredentialsVerdict::Kind::refused,
            session->end->reply ? session->end->reply->text() : session->end->detail};
  }
  if (!session->transaction) {
    return {};
  }
  CredentialsVerdict verdict;
  for (const smtp::RecipientResult& result : session->transaction->recipients) {
    if (!result.reply) {
      continue;
    }
    if (wants_credentials(*result.reply)) {
      return {CredentialsVerdict::Kind::refused, result.reply->text()};
    }
    verdict.kind = CredentialsVerdict::Kind::accepted;
  }
  return verdict;
}

smtp::TransactionResult without_credential_refusals(smtp::TransactionResult result) {
  for (smtp::RecipientResult& recipient : result.recipients) {
    if (recipient.disposition == smtp::Disposition::rejected && recipient.reply &&
        wants_credentials(*recipient.reply)) {
      recipient.disposition = smtp::Disposition::deferred;
      recipient.stage = smtp::Stage::mail;
      recipient.enhanced_code = "4.7.0";
    }
  }
  return result;
}

}  // namespace relay::delivery
