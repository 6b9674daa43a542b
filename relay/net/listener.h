// Listening sockets: bound once (before privileges are dropped), accepted from by several loops.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "relay/net/connection.h"
#include "relay/net/event_loop.h"
#include "relay/net/expected.h"
#include "relay/net/socket_address.h"

namespace relay::net {

/// A bound, listening socket; closes on destruction. Shared by the accepting loops.
class ListeningSocket {
 public:
  /// The error names the address and the system's reason ("127.0.0.1:25: Address already in use").
  static Expected<std::shared_ptr<ListeningSocket>, std::string> bind(const SocketAddress& address);
  struct Owner {
    unsigned uid, gid;
  };
  /// A UNIX stream socket created with the given mode (0600) and, if given, owner; a stale one is
  /// replaced, a live one (something answers) is an error. It is removed on destruction.
  static Expected<std::shared_ptr<ListeningSocket>, std::string> bind_unix(
      const std::string& path, unsigned mode, std::optional<Owner> owner = std::nullopt);
  /// A socket that listens already, and is closed with this object.
  static std::shared_ptr<ListeningSocket> adopt(int fd);
  ~ListeningSocket();
  ListeningSocket(const ListeningSocket&) = delete;
  ListeningSocket& operator=(const ListeningSocket&) = delete;
  [[nodiscard]] int fd() const { return fd_; }
  /// The bound address with its real port; nullopt for UNIX sockets.
  [[nodiscard]] std::optional<SocketAddress> address() const;

 private:
  explicit ListeningSocket(int fd) : fd_(fd) {}
  int fd_;
  std::string unlink_path_;
};

/// What a listener behind proxies does about the PROXY header.
struct ProxyRules {
  /// Asked for each connection: whether it begins with a header.
  std::function<bool(const std::optional<SocketAddress>& peer)> expects_header;
  /// Told of each connection whose header was wrong, or did not come.
  std::function<void(const std::optional<SocketAddress>& proxy, const std::string& reason)> refused;
};

/// Accepts connections on one loop; several loops may share one socket.
class Acceptor {
 public:
  /// accepted: called with each new connection. exhausted_pause: taken, without a word, when no
  /// descriptor or memory is left (EMFILE).
  Acceptor(EventLoop& loop, std::shared_ptr<ListeningSocket> socket,
           std::function<void(std::unique_ptr<Connection>)> accepted,
           std::chrono::milliseconds exhausted_pause = std::chrono::seconds(1));
  ~Acceptor();
  Acceptor(const Acceptor&) = delete;
  Acceptor& operator=(const Acceptor&) = delete;
  /// Before the loop runs: from whom a PROXY header is read before a connection is reported, which
  /// then has the addresses that the header names.
  void expect_proxy_headers(ProxyRules rules);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace relay::net
