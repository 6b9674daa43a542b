// Who may relay through a listener, and how its content is read. Pure.
#pragma once

#include <string_view>

#include "conf/config.h"
#include "relay/net/tls_server.h"
#include "relay/smtp/content_check.h"
#include "relay/smtp/server_session.h"

namespace relay::reception {

struct Permission {
  smtp::Relaying relaying = smtp::Relaying::denied;
  smtp::LineEnds line_ends = smtp::LineEnds::refuse_bare;
};

/// By address, before TLS and AUTH. client_ip: canonical text as SocketAddress::ip() gives;
/// anything else is denied.
[[nodiscard]] Permission permission(const conf::Listener& listener, std::string_view client_ip);
/// Whether the certificate is one that may relay.
[[nodiscard]] bool is_allowed(const conf::Listener& listener,
                              const net::ClientCertificate& certificate);

}  // namespace relay::reception
