#include "relay/net/listener.h"

#include <algorithm>
#include <cerrno>
#include <netinet/in.h>
#include <new>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <event2/event.h>
#include <event2/util.h>

#include "relay/net/handles.h"
#include "relay/net/proxy_reader.h"

namespace relay::net {
namespace {

Unexpected<std::string> fault(const std::string& where, const std::string& reason) {
  return Unexpected<std::string>(where + ": " + reason);
}

int open_socket(int family) {
  return ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

bool switch_on(int fd, int level, int option) {
  const int on = 1;
  return ::setsockopt(fd, level, option, &on, sizeof on) == 0;
}

/// Makes room for a socket at path: an error if anything but a socket nobody listens on is there.
Expected<void, std::string> replace_stale(const std::string& path, const sockaddr_un& address) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) {
    return {};
  }
  if (!S_ISSOCK(found.st_mode)) {
    return fault(path, "exists and is not a socket");
  }
  const Descriptor probe(open_socket(AF_UNIX));
  const int result =
      ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (result == 0 || errno != ECONNREFUSED) {
    return fault(path, result == 0 || errno == EAGAIN ? "another process is listening there"
                                                      : system_message(errno));
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
    return fault(path, system_message(errno));
  }
  return {};
}

bool is_exhaustion(int error) {
  return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

Expected<std::shared_ptr<ListeningSocket>, std::string> ListeningSocket::bind(
    const SocketAddress& address) {
  const bool v6 = address.family() == IpFamily::v6;
  Descriptor socket(open_socket(v6 ? AF_INET6 : AF_INET));
  if (socket.get() < 0 || !switch_on(socket.get(), SOL_SOCKET, SO_REUSEADDR) ||
      (v6 && !switch_on(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY)) ||
      ::bind(socket.get(), address.get(), address.length()) != 0 ||
      ::listen(socket.get(), SOMAXCONN) != 0) {
    return fault(address.literal(), system_message(errno));
  }
  return std::shared_ptr<ListeningSocket>(new ListeningSocket(socket.release()));
}

Expected<std::shared_ptr<ListeningSocket>, std::string> ListeningSocket::bind_unix(
    const std::string& path, unsigned mode, std::optional<Owner> owner) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return fault(path, "a socket's path has between 1 and " +
                           std::to_string(sizeof address.sun_path - 1) + " characters");
  }
  std::copy(path.begin(), path.end(), std::begin(address.sun_path));
  if (auto replaced = replace_stale(path, address); !replaced) {
    return Unexpected<std::string>(std::move(replaced.error()));
  }
  Descriptor socket(open_socket(AF_UNIX));
  // Nobody can connect before listen(), so the mode is in force from the first moment.
  if (socket.get() < 0 ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      (owner && ::lchown(path.c_str(), owner->uid, owner->gid) != 0) ||
      ::chmod(path.c_str(), mode) != 0 || ::listen(socket.get(), SOMAXCONN) != 0) {
    return fault(path, system_message(errno));
  }
  std::shared_ptr<ListeningSocket> result(new ListeningSocket(socket.release()));
  result->unlink_path_ = path;
  return result;
}

std::shared_ptr<ListeningSocket> ListeningSocket::adopt(int fd) {
  std::shared_ptr<ListeningSocket> result(new ListeningSocket(fd));
  evutil_make_socket_nonblocking(fd);
  evutil_make_socket_closeonexec(fd);
  return result;
}

ListeningSocket::~ListeningSocket() {
  if (!unlink_path_.empty()) {
    ::unlink(unlink_path_.c_str());
  }
  ::close(fd_);
}

std::optional<SocketAddress> ListeningSocket::address() const {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  if (::getsockname(fd_, address, &length) != 0) {
    return std::nullopt;
  }
  return SocketAddress::from_sockaddr(address, length);
}

struct Acceptor::State {
  using Accepted = std::function<void(std::unique_ptr<Connection>)>;

  State(EventLoop& on, std::shared_ptr<ListeningSocket> from, Accepted report,
        std::chrono::milliseconds when_exhausted)
      : loop(on),
        socket(std::move(from)),
        accepted(std::make_shared<const Accepted>(std::move(report))),
        pause_length(when_exhausted),
        pause(on, [this] { event_add(readable.get(), nullptr); }),
        readable(
            event_new(on.base(), socket->fd(), EV_READ | EV_PERSIST, &State::on_readable, this)) {
    if (!readable || event_add(readable.get(), nullptr) != 0) {
      throw std::bad_alloc();
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  State(State&&) = delete;
  State& operator=(State&&) = delete;
  ~State() = default;

  // One connection a round: with several loops on the socket, greed would unbalance them.
  static void on_readable(evutil_socket_t fd, short /*what*/, void* self) noexcept {
    auto* state = static_cast<State*>(self);
    sockaddr_storage from{};
    socklen_t length = sizeof from;
    auto* address = reinterpret_cast<sockaddr*>(&from);
    const int accepted_fd = ::accept4(fd, address, &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted_fd >= 0) {
      state->take(accepted_fd, SocketAddress::from_sockaddr(address, length));
    } else if (is_exhaustion(errno)) {
      event_del(state->readable.get());
      state->pause.start(state->pause_length);
    }
  }

  void take(int fd, const std::optional<SocketAddress>& peer) {
    if (proxies.expects_header && proxies.expects_header(peer)) {
      headers.push_back(std::make_unique<ProxyReader>(
          loop, fd, [this, peer](ProxyReader& reader, ProxyReader::Result result) {
            header_read(reader, peer, std::move(result));
          }));
      return;
    }
    const auto report = accepted;  // the callback may destroy the acceptor
    (*report)(Connection::adopt(loop, fd));
  }

  void header_read(ProxyReader& reader, const std::optional<SocketAddress>& proxy,
                   ProxyReader::Result result) {
    const auto place = std::find_if(headers.begin(), headers.end(),
                                    [&reader](const auto& each) { return each.get() == &reader; });
    const auto done = std::move(*place);  // lives to the end of this call, its last
    headers.erase(place);
    if (!result) {
      proxies.refused(proxy, result.error());
      return;
    }
    const auto report = accepted;
    (*report)(Connection::adopt(loop, done->release(), {result->client, result->server}));
  }

  EventLoop& loop;
  std::shared_ptr<ListeningSocket> socket;
  std::shared_ptr<const Accepted> accepted;
  ProxyRules proxies;
  std::vector<std::unique_ptr<ProxyReader>> headers;  // being read
  std::chrono::milliseconds pause_length;
  Timer pause;
  EventHandle readable;
};

Acceptor::Acceptor(EventLoop& loop, std::shared_ptr<ListeningSocket> socket,
                   std::function<void(std::unique_ptr<Connection>)> accepted,
                   std::chrono::milliseconds exhausted_pause)
    : state_(
          std::make_unique<State>(loop, std::move(socket), std::move(accepted), exhausted_pause)) {}
Acceptor::~Acceptor() = default;

void Acceptor::expect_proxy_headers(ProxyRules rules) {
  state_->proxies = std::move(rules);
}

}  // namespace relay::net
