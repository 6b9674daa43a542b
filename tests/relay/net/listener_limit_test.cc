#include <chrono>
#include <memory>
#include <sys/resource.h>
#include <unistd.h>

#include <doctest/doctest.h>

#include "relay/net/listener.h"
#include "tests/relay/net/loop_fixture.h"

namespace {

using relay::net::Acceptor;
using relay::net::EventLoop;
using relay::net::ListeningSocket;
using relay::net::SocketAddress;
using std::chrono::milliseconds;

/// No further descriptor can be opened while this lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const int lowest_free = ::dup(STDIN_FILENO);
    REQUIRE(lowest_free >= 0);
    ::close(lowest_free);
    rlimit now = before_;
    now.rlim_cur = static_cast<rlim_t>(lowest_free);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &now) == 0);
  }
  ~NoDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;

 private:
  rlimit before_{};
};

TEST_CASE("an acceptor without descriptors pauses, then accepts who waited") {
  EventLoop loop;
  const auto socket = *ListeningSocket::bind(*SocketAddress::from_ip("127.0.0.1", 0));
  int accepted = 0;
  const auto count = [&](auto) {
    ++accepted;
    loop.stop();
  };
  const auto client = support::open_connection(loop, *socket->address());
  SUBCASE("not before the pause is over") {
    const Acceptor acceptor(loop, socket, count, std::chrono::hours(1));
    {
      const NoDescriptors none;
      support::settle(loop);
    }
    support::settle(loop);
    CHECK(accepted == 0);
  }
  SUBCASE("when it is over") {
    const Acceptor acceptor(loop, socket, count, milliseconds(1));
    {
      const NoDescriptors none;
      support::settle(loop);
    }
    support::run(loop);
    CHECK(accepted == 1);
  }
}

}  // namespace
