// An access token by client credentials (RFC 6749 §4.4): what is asked and what is answered. Pure.
#pragma once

#include <chrono>
#include <string>

#include "relay/delivery/credentials.h"
#include "relay/net/expected.h"
#include "relay/net/https_client.h"

namespace relay::delivery {

/// The form to post, with the client's name and secret for Basic (RFC 6749 §2.3.1).
[[nodiscard]] net::HttpsPost token_request(const TokenEndpoint& endpoint);

struct AccessToken {
  smtp::Secret text;
  std::chrono::seconds lifetime{};
};

/// The error is one sentence, with the server's own words as far as they can be shown.
[[nodiscard]] Expected<AccessToken, std::string> token_of(const net::HttpsResponse& response);

}  // namespace relay::delivery
