// A client whose mail is taken but held: it sent more than it may, or an operator wants it so.
// Values.
#pragma once

#include <string>
#include <string_view>

#include "relay/net/clock.h"

namespace relay::spool {

struct ClientHold {
  std::string name;    ///< the client's, as limits count it: "app1", "192.0.2.1", "uid:1000"
  std::string reason;  ///< "sent more than 100 messages per hour": follows the client's name
  net::WallTime since{};
  std::string by;  ///< the operator who wanted it, "uid:0"; empty: its limits
  friend bool operator==(const ClientHold&, const ClientHold&) = default;
};

/// What its messages are held for: "client app1: sent more than 100 messages per hour"; names of
/// clients never hold a colon and a space.
[[nodiscard]] std::string held_for(const ClientHold& hold);
/// Whether a message with this reason (Envelope::held) is held because of the client, by this hold
/// or an earlier one.
[[nodiscard]] bool is_held_for_client(std::string_view held, std::string_view client);

}  // namespace relay::spool
