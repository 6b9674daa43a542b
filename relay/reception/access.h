// Who may relay through a listener, and how its content is read. Pure.
#pragma once

#include <string_view>

#include "conf/config.h"
#include "relay/smtp/content_check.h"
#include "relay/smtp/server_session.h"

namespace relay::reception {

struct Permission {
  smtp::Relaying relaying = smtp::Relaying::denied;
  smtp::LineEnds line_ends = smtp::LineEnds::refuse_bare;
};

/// client_ip: canonical text as SocketAddress::ip() gives; anything else is denied.
[[nodiscard]] Permission permission(const conf::Listener& listener, std::string_view client_ip);

}  // namespace relay::reception
