// What our accounts at upstreams are proved with, as read from files at the start and at a reload.
// Immutable; shared between threads.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "conf/routes.h"
#include "relay/net/domain_name.h"
#include "relay/smtp/client_auth.h"

namespace relay::delivery {

/// Where an access token comes from (RFC 6749 §4.4).
struct TokenEndpoint {
  net::DomainName host;
  std::uint16_t port = 443;
  std::string path;
  std::string client_id;
  smtp::Secret client_secret;
  std::string scope;
};

struct Credentials {
  std::string account;  ///< account_of() of its upstreams
  std::string user;
  smtp::ClientAuth::SendOver send_over = smtp::ClientAuth::SendOver::verified;
  std::shared_ptr<const smtp::ClientAuth> password;  ///< null: a token
  std::shared_ptr<const TokenEndpoint> endpoint;     ///< null: a password
};

/// "smtp.example:587:user": what tells accounts apart.
[[nodiscard]] std::string account_of(const conf::Upstream& upstream);

/// By account.
using CredentialTable = std::map<std::string, std::shared_ptr<const Credentials>>;

/// The parts of an https URL that was checked when the configuration was read; nullopt: none.
struct EndpointUrl {
  net::DomainName host;
  std::uint16_t port = 443;
  std::string path;
};
[[nodiscard]] std::optional<EndpointUrl> parse_endpoint(std::string_view url);

[[nodiscard]] smtp::ClientAuth::SendOver send_over(const conf::UpstreamAuth& auth);

}  // namespace relay::delivery
