#include "relay/net/listener.h"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/net/loop_fixture.h"

namespace {

using relay::net::Acceptor;
using relay::net::Connection;
using relay::net::EventLoop;
using relay::net::ListeningSocket;
using relay::net::SocketAddress;
using std::chrono::seconds;

class TemporaryDirectory {
 public:
  TemporaryDirectory()
      : path_((std::filesystem::temp_directory_path() / "stsrelay-test-XXXXXX").string()) {
    REQUIRE(::mkdtemp(path_.data()) != nullptr);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

/// Connects a blocking client to a UNIX socket; -1 when refused.
int connect_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    ::close(fd);
    return -1;
  }
  return fd;
}

TEST_CASE("an acceptor hands over each connection with its addresses") {
  for (const auto* ip : {"127.0.0.1", "::1"}) {
    CAPTURE(ip);
    EventLoop loop;
    const auto socket = ListeningSocket::bind(*SocketAddress::from_ip(ip, 0));
    REQUIRE(socket);
    const auto address = (*socket)->address();
    REQUIRE(address);
    CHECK(address->ip() == ip);
    CHECK(address->port() != 0);
    std::vector<std::unique_ptr<Connection>> accepted;
    const Acceptor acceptor(loop, *socket, [&](std::unique_ptr<Connection> connection) {
      CHECK(connection->local_address() == address);
      CHECK(connection->peer_address()->ip() == ip);
      accepted.push_back(std::move(connection));
      if (accepted.size() == 3) {
        loop.stop();
      }
    });
    std::vector<relay::net::Operation> clients;
    clients.reserve(3);
    for (int i = 0; i < 3; ++i) {
      clients.push_back(
          relay::net::connect(loop, *address, std::nullopt, seconds(20), [](auto) {}));
    }
    support::run(loop);
    CHECK(accepted.size() == 3);
  }
}

TEST_CASE("a socket that is adopted has its address, blocks nobody, and is not handed on") {
  const auto bound = *ListeningSocket::bind(*SocketAddress::from_ip("127.0.0.1", 0));
  const int inherited = ::dup(bound->fd());
  REQUIRE(inherited >= 0);
  REQUIRE(::fcntl(inherited, F_SETFL, ::fcntl(inherited, F_GETFL) & ~O_NONBLOCK) == 0);
  {
    const auto adopted = ListeningSocket::adopt(inherited);
    CHECK(adopted->fd() == inherited);
    CHECK(adopted->address() == bound->address());
    CHECK((::fcntl(inherited, F_GETFL) & O_NONBLOCK) != 0);
    CHECK((::fcntl(inherited, F_GETFD) & FD_CLOEXEC) != 0);
  }
  CHECK(::fcntl(inherited, F_GETFD) == -1);  // closed with its owner
}

TEST_CASE("the callback of an acceptor may destroy it, and the socket lives on for others") {
  EventLoop loop;
  const auto socket = *ListeningSocket::bind(*SocketAddress::from_ip("127.0.0.1", 0));
  int first = 0;
  int second = 0;
  std::unique_ptr<Acceptor> acceptor;
  acceptor = std::make_unique<Acceptor>(loop, socket, [&](auto) {
    ++first;
    acceptor.reset();
    loop.stop();
  });
  const auto client = support::open_connection(loop, *socket->address());
  if (first == 0) {
    support::run(loop);
  }
  CHECK(first == 1);
  const Acceptor other(loop, socket, [&](auto) {
    ++second;
    loop.stop();
  });
  const auto next = support::open_connection(loop, *socket->address());
  support::settle(loop);
  CHECK(second == 1);
}

TEST_CASE("an address that is in use is refused with its name and the reason") {
  const auto socket = ListeningSocket::bind(*SocketAddress::from_ip("127.0.0.1", 0));
  REQUIRE(socket);
  const auto address = *(*socket)->address();
  const auto again = ListeningSocket::bind(address);
  REQUIRE_FALSE(again);
  CHECK(again.error() == address.literal() + ": Address already in use");
}

TEST_CASE("IPv4 and IPv6 listen on the same port side by side") {
  const auto v6 = ListeningSocket::bind(*SocketAddress::from_ip("::", 0));
  REQUIRE(v6);
  CHECK(ListeningSocket::bind(*SocketAddress::from_ip("0.0.0.0", (*v6)->address()->port())));
}

TEST_CASE("a UNIX socket has its mode, takes connections and leaves no file behind") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("control");
  EventLoop loop;
  {
    const auto socket = ListeningSocket::bind_unix(path, 0600);
    REQUIRE(socket);
    CHECK_FALSE((*socket)->address());
    struct stat found {};
    REQUIRE(::stat(path.c_str(), &found) == 0);
    CHECK((found.st_mode & 0777U) == 0600);
    support::Recorder observer;
    std::unique_ptr<Connection> connection;
    const Acceptor acceptor(loop, *socket, [&](std::unique_ptr<Connection> accepted) {
      connection = std::move(accepted);
      connection->set_observer(&observer);
    });
    support::PeerSocket client(connect_unix(path));
    REQUIRE(client.fd() >= 0);
    client.send("status\n");
    observer.bytes_arrived = [&] { loop.stop(); };
    support::run(loop);
    CHECK(observer.received == "status\n");
    CHECK_FALSE(connection->peer_address());
  }
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("a stale UNIX socket is replaced, a live one and other files are left alone") {
  const TemporaryDirectory directory;
  const std::string path = directory.file("control");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int dead = ::socket(AF_UNIX, SOCK_STREAM, 0);
  REQUIRE(::bind(dead, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  ::close(dead);

  const auto socket = ListeningSocket::bind_unix(path, 0600);
  REQUIRE(socket);
  const auto second = ListeningSocket::bind_unix(path, 0600);
  REQUIRE_FALSE(second);
  CHECK(second.error() == path + ": another process is listening there");
  const support::PeerSocket client(connect_unix(path));
  CHECK(client.fd() >= 0);

  const std::string file = directory.file("file");
  ::close(::open(file.c_str(), O_CREAT | O_WRONLY, 0600));
  const auto third = ListeningSocket::bind_unix(file, 0600);
  REQUIRE_FALSE(third);
  CHECK(third.error() == file + ": exists and is not a socket");
  CHECK(std::filesystem::exists(file));
}

TEST_CASE("a path that no UNIX socket can have is refused with a reason") {
  for (const auto& path : {std::string(), std::string(200, 'x'), std::string("/nonexistent/x")}) {
    CAPTURE(path);
    const auto socket = ListeningSocket::bind_unix(path, 0600);
    REQUIRE_FALSE(socket);
    CHECK(socket.error().starts_with(path + ": "));
  }
}

}  // namespace
