// What the files that routes name hold: passwords and client secrets. Read at the start, before
// root is given up, at each reload, and by `config check`.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "conf/config.h"
#include "relay/delivery/credentials.h"
#include "relay/delivery/message_signer.h"
#include "relay/net/expected.h"

namespace relay {

struct DeliveryFiles {
  std::shared_ptr<const delivery::CredentialTable> credentials =
      std::make_shared<const delivery::CredentialTable>();
  std::shared_ptr<const delivery::SigningKeys> signing_keys =
      std::make_shared<const delivery::SigningKeys>();
};

/// config_file: where config was read. The errors are ready to print: "FILE:LINE: key: reason".
[[nodiscard]] Expected<DeliveryFiles, std::vector<std::string>> load_delivery_files(
    const conf::Config& config, const std::string& config_file);

/// The accounts whose credentials may go to a host that has not proved its name, as
/// "USER at HOST:PORT: encrypted"; for a loud word about them.
[[nodiscard]] std::vector<std::string> exposed_credentials(const conf::Config& config);

}  // namespace relay
