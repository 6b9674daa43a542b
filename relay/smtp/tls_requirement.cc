#include "relay/smtp/tls_requirement.h"

#include <variant>

namespace relay::smtp {

bool TlsRequirement::met_by(const net::TlsOutcome& outcome) const {
  switch (level_) {
    case Level::plaintext_retry:
      return true;
    case Level::opportunistic:
      return !std::holds_alternative<net::TlsFailed>(outcome);
    case Level::verified:
      return std::holds_alternative<net::TlsVerified>(outcome);
  }
  return false;
}

std::string_view TlsRequirement::name() const {
  switch (level_) {
    case Level::plaintext_retry:
      return "plaintext-retry";
    case Level::opportunistic:
      return "opportunistic";
    case Level::verified:
      return "verified";
  }
  return {};
}

}  // namespace relay::smtp
