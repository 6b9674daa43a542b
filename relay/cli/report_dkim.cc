#include "relay/cli/report_dkim.h"

#include <algorithm>

#include <fmt/format.h>

namespace relay::cli {
namespace {

using message::DkimResult;
using message::DkimVerdict;

DkimVerdict verdict_of(const message::DkimClaim& claim, const TextAnswers& keys) {
  const auto key = keys.find(claim.key_name());
  if (claim.fault.empty() &&
      (key == keys.end() || key->second.state == TextAnswer::State::failed)) {
    return {DkimResult::temporary, key == keys.end() ? "not asked" : key->second.failure, false};
  }
  return message::judge(claim, key == keys.end() ? std::vector<std::string>{} : key->second.texts);
}

bool is_of(const SignatureVerdict& signature, std::string_view submitter) {
  return submitter == signature.domain || submitter.ends_with("." + signature.domain);
}

CarrierVerdict summary(const std::vector<SignatureVerdict>& signatures,
                       std::string_view submitter) {
  CarrierVerdict verdict = CarrierVerdict::fail;
  for (const SignatureVerdict& each : signatures) {
    if (each.verdict.result == DkimResult::pass) {
      if (is_of(each, submitter)) {
        return CarrierVerdict::pass;
      }
      verdict = CarrierVerdict::other_domain;
    } else if (each.verdict.result == DkimResult::temporary && verdict == CarrierVerdict::fail) {
      verdict = CarrierVerdict::unknown;
    }
  }
  return verdict;
}

}  // namespace

std::string_view name(CarrierVerdict verdict) {
  switch (verdict) {
    case CarrierVerdict::not_checked:
      return "not-checked";
    case CarrierVerdict::no_mail:
      return "no-mail";
    case CarrierVerdict::forwarded:
      return "forwarded";
    case CarrierVerdict::unsigned_mail:
      return "unsigned";
    case CarrierVerdict::pass:
      return "pass";
    case CarrierVerdict::other_domain:
      return "other-domain";
    case CarrierVerdict::fail:
      return "fail";
    case CarrierVerdict::unknown:
      return "unknown";
  }
  return {};
}

bool is_doubtful(CarrierVerdict verdict) {
  switch (verdict) {
    case CarrierVerdict::unsigned_mail:
    case CarrierVerdict::other_domain:
    case CarrierVerdict::fail:
    case CarrierVerdict::unknown:
      return true;
    case CarrierVerdict::not_checked:
    case CarrierVerdict::no_mail:
    case CarrierVerdict::forwarded:
    case CarrierVerdict::pass:
      break;
  }
  return false;
}

std::string CarrierDkim::text() const {
  const auto blamed = std::ranges::find_if(
      signatures, [](const SignatureVerdict& each) { return !each.verdict.reason.empty(); });
  const bool why = verdict == CarrierVerdict::fail || verdict == CarrierVerdict::unknown;
  return why && blamed != signatures.end()
             ? fmt::format("{} ({})", name(verdict), blamed->verdict.reason)
             : std::string(name(verdict));
}

void add_key_names(const ReportCarrier& carrier, std::set<std::string>& names) {
  for (const message::DkimClaim& claim : carrier.claims) {
    if (claim.fault.empty()) {
      names.insert(claim.key_name());
    }
  }
}

CarrierDkim judge(const ReportCarrier& carrier, std::string_view submitter,
                  const TextAnswers& keys) {
  CarrierDkim result;
  switch (carrier.kind) {
    case ReportCarrier::Kind::file:
      result.verdict = CarrierVerdict::no_mail;
      return result;
    case ReportCarrier::Kind::forwarded:
      result.verdict = CarrierVerdict::forwarded;
      return result;
    case ReportCarrier::Kind::mail:
      break;
  }
  for (const message::DkimClaim& claim : carrier.claims) {
    result.signatures.push_back(
        {claim.domain, claim.selector, claim.algorithm, verdict_of(claim, keys)});
  }
  result.verdict = result.signatures.empty() ? CarrierVerdict::unsigned_mail
                                             : summary(result.signatures, submitter);
  return result;
}

std::string as_transmitted(std::string_view mail) {
  std::string result;
  result.reserve(mail.size() + mail.size() / 40);
  char last = '\0';
  for (const char c : mail) {
    if (c == '\n' && last != '\r') {
      result += '\r';
    }
    result += c;
    last = c;
  }
  return result;
}

}  // namespace relay::cli
