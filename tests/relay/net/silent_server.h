// A server that answers no connection attempt.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <sys/socket.h>
#include <tuple>
#include <unistd.h>

#include <doctest/doctest.h>

#include "relay/net/socket_address.h"

namespace support {

/// A listening socket whose queue is full: further connection attempts get no answer.
class SilentServer {
 public:
  explicit SilentServer(const std::string& ip = "127.0.0.1", std::uint16_t port = 0)
      : listener_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const auto at = *relay::net::SocketAddress::from_ip(ip, port);
    REQUIRE(::bind(listener_, at.get(), at.length()) == 0);
    REQUIRE(::listen(listener_, 0) == 0);
    sockaddr_storage bound{};
    socklen_t length = sizeof bound;
    auto* generic = reinterpret_cast<sockaddr*>(&bound);
    REQUIRE(::getsockname(listener_, generic, &length) == 0);
    address_ = relay::net::SocketAddress::from_sockaddr(generic, length);
    for (auto& filler : fillers_) {
      filler = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      std::ignore = ::connect(filler, generic, length);
    }
  }
  ~SilentServer() {
    for (const int filler : fillers_) {
      ::close(filler);
    }
    ::close(listener_);
  }
  SilentServer(const SilentServer&) = delete;
  SilentServer& operator=(const SilentServer&) = delete;
  [[nodiscard]] const relay::net::SocketAddress& address() const { return *address_; }

 private:
  int listener_;
  std::optional<relay::net::SocketAddress> address_;
  std::array<int, 4> fillers_{};
};

}  // namespace support
