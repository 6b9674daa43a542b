// What a server's refusal is about, where its code alone does not say. Pure.
#pragma once

#include <string>
#include <string_view>

#include "relay/delivery/outcome.h"
#include "relay/smtp/reply.h"

namespace relay::delivery {

/// Whether a 5xx reply is about the address that the connection came from (no PTR record, listed
/// somewhere, rules for IPv6): over the other family it may be different.
[[nodiscard]] bool blames_address(const smtp::Reply& reply);

/// Whether it says that credentials are missing or wrong (RFC 4954 §4, §6): 530, 534, 535, 538.
[[nodiscard]] bool wants_credentials(const smtp::Reply& reply);

/// What a session shows about our credentials at a route's upstream.
struct CredentialsVerdict {
  enum class Kind { untested, accepted, refused } kind = Kind::untested;
  std::string text;  ///< refused: the server's words
};
[[nodiscard]] CredentialsVerdict credentials_verdict(const ConversationReport& report);

/// The result with these refusals made temporary ones of the whole transaction: a message is not
/// returned because we may not speak to the upstream.
[[nodiscard]] smtp::TransactionResult without_credential_refusals(smtp::TransactionResult result);

}  // namespace relay::delivery
