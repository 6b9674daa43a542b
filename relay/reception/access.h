// Who may relay through a listener, and how its content is read. Pure.
#pragma once

#include <string>
#include <string_view>

#include "conf/config.h"
#include "relay/net/tls_server.h"
#include "relay/smtp/content_check.h"
#include "relay/smtp/envelope_rules.h"
#include "relay/smtp/server_session.h"

namespace relay::reception {

struct Permission {
  smtp::Relaying relaying = smtp::Relaying::denied;
  smtp::LineEnds line_ends = smtp::LineEnds::refuse_bare;
};

/// Who is connected, as far as the connection tells.
struct Client {
  std::string ip;       ///< "" on a UNIX socket
  std::string name;     ///< for logs and limits: the address, or "uid:1000"
  std::string literal;  ///< for the Received field: "[192.0.2.1]", "uid 1000"
};

/// By address, before TLS and AUTH. client_ip: canonical text as SocketAddress::ip() gives;
/// anything else is denied, but on a UNIX socket, where the file's permissions have judged.
[[nodiscard]] Permission permission(const conf::Listener& listener, std::string_view client_ip);
/// Whether the certificate is one that may relay.
[[nodiscard]] bool is_allowed(const conf::Listener& listener,
                              const net::ClientCertificate& certificate);

/// By what a rule means a client.
enum class Fit { none, network, user };
/// user: by AUTH; empty: nobody. user goes before network.
[[nodiscard]] Fit fit(const conf::ClientRule& rule, const Client& client, std::string_view user);

/// user: by AUTH; empty: nobody.
[[nodiscard]] smtp::EnvelopeRules envelope_rules(const conf::Listener& listener,
                                                 const Client& client, std::string_view user);

}  // namespace relay::reception
