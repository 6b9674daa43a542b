// Listening sockets that the service manager opened and hands over at each start
// (sd_listen_fds(3)). They stay open while the daemon restarts, so that connections wait instead of
// being refused.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "relay/net/expected.h"
#include "relay/net/listener.h"
#include "relay/net/socket_address.h"

namespace relay {

class InheritedSockets {
 public:
  InheritedSockets() = default;
  /// What was handed to this process; a second call finds nothing. The error is a sentence about a
  /// descriptor that is no listening socket.
  static Expected<InheritedSockets, std::string> take();

  /// The socket that is bound to this address; null: none, or it was claimed before.
  [[nodiscard]] std::shared_ptr<net::ListeningSocket> claim(const net::SocketAddress& address);
  /// "submission (192.0.2.25:587)" of those that nobody claimed.
  [[nodiscard]] std::vector<std::string> unclaimed() const;

 private:
  struct Socket {
    std::string name;  ///< FileDescriptorName= of the socket unit
    std::shared_ptr<net::ListeningSocket> socket;
  };
  std::vector<Socket> sockets_;
};

}  // namespace relay
