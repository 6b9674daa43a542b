// Where mail goes that does not go to the MX hosts of its domain: routes, their upstreams, and the
// credentials that these want.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "conf/tls_rules.h"

namespace conf {

/// An access token by client credentials (RFC 6749 §4.4), for XOAUTH2 and OAUTHBEARER.
struct OAuth2 {
  std::string token_url;  ///< https
  std::string client_id;
  std::string client_secret_file;
  std::string scope;
  friend bool operator==(const OAuth2&, const OAuth2&) = default;
};

/// SMTP AUTH as a client (RFC 4954): user with either a password or a token.
struct UpstreamAuth {
  std::string user;
  std::string password_file;  ///< its first line; empty: oauth2
  std::optional<OAuth2> oauth2;
  /// The least that a session must be before credentials are sent (RFC 4954 §4).
  enum class SendOver { verified, encrypted, plaintext } send_over = SendOver::verified;
  friend bool operator==(const UpstreamAuth&, const UpstreamAuth&) = default;
};

/// One server that takes mail of a route.
struct Upstream {
  std::string host;  ///< no MX lookup; a name or an IP address
  std::uint16_t port = 587;
  enum class Tls { starttls, implicit };
  std::optional<Tls> tls;         ///< absent: implicit at port 465, else starttls
  std::optional<TlsLevel> level;  ///< a floor under what tls_policy and credentials demand
  std::optional<UpstreamAuth> auth;

  [[nodiscard]] Tls effective_tls() const {
    return tls.value_or(port == 465 ? Tls::implicit : Tls::starttls);
  }
  friend bool operator==(const Upstream&, const Upstream&) = default;
};

/// Mail for matching recipient domains, from matching senders, that came in by a listener goes to
/// another next hop (RFC 8461 §3.4: its name is then the policy domain).
struct Route {
  std::string match;  ///< "example.com", "*.example.com" or "*"; the first match counts
  std::string mx;     ///< look up the MX of this name; exclusive with host and upstreams
  std::string host;   ///< this host, no MX lookup; a name or an IP address
  std::uint16_t port = 25;
  std::string sender{};  ///< "a@example.org", "example.org" or "*.example.org"; empty: every sender
  std::vector<Upstream> upstreams{};  ///< the first that works; exclusive with host and mx
  std::string helo{};                 ///< name in EHLO; empty: delivery.helo
  std::string source_ipv4{};          ///< empty: delivery.source_ipv4
  std::string source_ipv6{};
  std::string rate{};      ///< "100/h": recipients that go this way; empty: as many as it takes
  std::string listener{};  ///< as ListenAddress::text() says; empty: all, and mail of our own

  /// What it is for, in words: "example.com", "example.com and 192.0.2.1:2525".
  [[nodiscard]] std::string title() const;
  friend bool operator==(const Route&, const Route&) = default;
};

}  // namespace conf
