#include "relay/smtp/tls_requirement.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace relay::smtp {

TlsRequirement TlsRequirement::with_dane(std::shared_ptr<const net::DaneExpectation> dane,
                                         Sni sni) const {
  TlsRequirement requirement = *this;
  requirement.dane_ = std::move(dane);
  requirement.sni_ = sni;
  return requirement;
}

TlsRequirement TlsRequirement::with_fingerprints(
    std::shared_ptr<const Fingerprints> fingerprints) const {
  TlsRequirement requirement = *this;
  requirement.level_ = std::max(level_, Level::encrypted);
  requirement.fingerprints_ = std::move(fingerprints);
  return requirement;
}

bool TlsRequirement::lists(const net::TlsParameters& parameters) const {
  const auto known = [&](const std::string& digest) {
    return digest == parameters.certificate_sha256 || digest == parameters.key_sha256;
  };
  return fingerprints_ == nullptr ||
         std::any_of(fingerprints_->begin(), fingerprints_->end(), known);
}

bool TlsRequirement::met_by(const net::TlsParameters& parameters) const {
  return (dane_ == nullptr || parameters.dane == net::DaneMatch::matched) && lists(parameters);
}

bool TlsRequirement::met_by(const net::TlsOutcome& outcome) const {
  switch (level_) {
    case Level::plaintext:
    case Level::plaintext_retry:
      return true;
    case Level::opportunistic:
      return !std::holds_alternative<net::TlsFailed>(outcome);
    case Level::encrypted:
      if (const auto* unverified = std::get_if<net::TlsUnverified>(&outcome)) {
        return met_by(unverified->parameters);
      }
      [[fallthrough]];
    case Level::verified: {
      const auto* verified = std::get_if<net::TlsVerified>(&outcome);
      return verified != nullptr && met_by(verified->parameters);
    }
  }
  return false;
}

std::optional<TlsRequirement> TlsRequirement::after_failed_handshake() const {
  if (level_ == Level::opportunistic) {
    return TlsRequirement{Level::plaintext_retry};
  }
  return std::nullopt;
}

std::string_view TlsRequirement::name() const {
  switch (level_) {
    case Level::plaintext:
      return "plaintext";
    case Level::plaintext_retry:
      return "plaintext-retry";
    case Level::opportunistic:
      return "opportunistic";
    case Level::encrypted:
      if (fingerprints_ != nullptr) {
        return dane_ != nullptr ? "dane+fingerprint" : "fingerprint";
      }
      return dane_ != nullptr ? "dane" : "encrypted";
    case Level::verified:
      if (fingerprints_ != nullptr) {
        return dane_ != nullptr ? "verified+dane+fingerprint" : "verified+fingerprint";
      }
      return dane_ != nullptr ? "verified+dane" : "verified";
  }
  return {};
}

std::optional<net::DomainName> TlsRequirement::sni(
    const std::optional<net::DomainName>& mx_host) const {
  return dane_ != nullptr && sni_ == Sni::tlsa_base ? std::optional(dane_->reference_names.front())
                                                    : mx_host;
}

std::string TlsRequirement::key() const {
  std::string key{name()};
  if (dane_ != nullptr) {
    key += ' ' + dane_->digest() + (sni_ == Sni::mx_host ? " mx-host" : "");
  }
  if (fingerprints_ != nullptr) {
    for (const std::string& fingerprint : *fingerprints_) {
      key += ' ' + fingerprint;
    }
  }
  return key;
}

}  // namespace relay::smtp
