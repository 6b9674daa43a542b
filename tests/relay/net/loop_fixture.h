// What the tests of streams share: a loop that cannot hang, a recording observer, and scripted
// peers that run blocking on a thread of their own.
#pragma once

#include <arpa/inet.h>
#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <netinet/in.h>
#include <optional>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <thread>
#include <tuple>
#include <unistd.h>
#include <utility>

#include <doctest/doctest.h>

#include "relay/net/connection.h"
#include "relay/net/event_loop.h"
#include "relay/net/listener.h"

namespace support {

/// Runs loop until something stops it; a test that forgets to fails instead of hanging.
inline void run(relay::net::EventLoop& loop) {
  relay::net::Timer guard(loop, [&loop] {
    FAIL_CHECK("the loop was not stopped within 20 s");
    loop.stop();
  });
  guard.start(std::chrono::seconds(20));
  loop.run();
}

/// Lets everything that is ready now run: as many rounds of the loop as a callback chain needs.
/// Also what a test does after destroying a connection whose peer waits for the end: libevent
/// closes the socket from the loop.
inline void settle(relay::net::EventLoop& loop, int rounds = 20) {
  std::function<void()> next = [&] {
    if (--rounds <= 0) {
      loop.stop();
    } else {
      loop.post(next);
    }
  };
  loop.post(next);
  run(loop);
}

class Recorder final : public relay::net::Connection::Observer {
 public:
  using CloseReason = relay::net::Connection::CloseReason;
  void on_bytes(std::string_view bytes) override {
    CHECK_FALSE(closed);
    received.append(bytes);
    if (bytes_arrived) {
      bytes_arrived();
    }
  }
  void on_drained() override {
    ++drained;
    if (output_drained) {
      output_drained();
    }
  }
  void on_closed(CloseReason reason, std::string text) override {
    CHECK_FALSE(closed);
    closed = reason;
    detail = std::move(text);
    if (stream_closed) {
      stream_closed();
    }
  }

  std::string received;
  int drained = 0;
  std::optional<CloseReason> closed;
  std::string detail;
  std::function<void()> bytes_arrived;
  std::function<void()> output_drained;
  std::function<void()> stream_closed;
};

/// A blocking socket of a scripted peer.
class PeerSocket {
 public:
  explicit PeerSocket(int fd) : fd_(fd) {
    const timeval limit{20, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  }
  ~PeerSocket() { close(); }
  PeerSocket(const PeerSocket&) = delete;
  PeerSocket& operator=(const PeerSocket&) = delete;

  [[nodiscard]] int fd() const { return fd_; }
  void send(std::string_view bytes) const {
    while (!bytes.empty()) {
      const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) {
        return;
      }
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  /// At least one byte, or "" at the end.
  [[nodiscard]] std::string read_some() const {
    std::array<char, 16384> buffer{};
    const auto count = ::recv(fd_, buffer.data(), buffer.size(), 0);
    return {buffer.data(), count > 0 ? static_cast<std::size_t>(count) : 0};
  }
  [[nodiscard]] std::string read_to_end() const {
    std::string all;
    for (std::string part = read_some(); !part.empty(); part = read_some()) {
      all += part;
    }
    return all;
  }
  void await_input() const { std::ignore = read_some(); }
  void await_end() const { std::ignore = read_to_end(); }
  void half_close() const { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) {
      ::close(std::exchange(fd_, -1));
    }
  }

 private:
  int fd_;
};

/// Accepts on loopback and plays script with each connection, one after the other.
class PeerServer {
 public:
  using Script = std::function<void(PeerSocket&)>;
  explicit PeerServer(Script script) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    REQUIRE(::bind(fd_, generic, length) == 0);
    REQUIRE(::listen(fd_, 16) == 0);
    REQUIRE(::getsockname(fd_, generic, &length) == 0);
    address_ = relay::net::SocketAddress::from_sockaddr(generic, length);
    thread_ = std::thread([this, play = std::move(script)] {
      for (int fd = accept_one(); fd >= 0; fd = accept_one()) {
        PeerSocket socket(fd);
        play(socket);
      }
    });
  }
  ~PeerServer() {
    ::shutdown(fd_, SHUT_RDWR);  // ends accept()
    thread_.join();
    ::close(fd_);
  }
  PeerServer(const PeerServer&) = delete;
  PeerServer& operator=(const PeerServer&) = delete;
  [[nodiscard]] const relay::net::SocketAddress& address() const { return *address_; }

 private:
  [[nodiscard]] int accept_one() const { return ::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC); }

  int fd_;
  std::optional<relay::net::SocketAddress> address_;
  std::thread thread_;
};

/// A connection to address; runs the loop until it stands.
inline std::unique_ptr<relay::net::Connection> open_connection(
    relay::net::EventLoop& loop, const relay::net::SocketAddress& address) {
  std::unique_ptr<relay::net::Connection> opened;
  const auto operation =
      relay::net::connect(loop, address, std::nullopt, std::chrono::seconds(20), [&](auto result) {
        REQUIRE(result.has_value());
        opened = std::move(*result);
        loop.stop();
      });
  run(loop);
  REQUIRE(opened != nullptr);
  return opened;
}

}  // namespace support
