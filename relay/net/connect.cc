#include <cerrno>
#include <netinet/in.h>
#include <new>
#include <sys/socket.h>
#include <utility>

#include <event2/event.h>
#include <fmt/format.h>

#include "relay/net/connection.h"
#include "relay/net/handles.h"

namespace relay::net {
namespace {

using ConnectDone = std::function<void(Expected<std::unique_ptr<Connection>, ConnectFailure>)>;

std::string timeout_text(std::chrono::milliseconds timeout) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(timeout);
  return seconds == timeout ? fmt::format("timed out after {} s", seconds.count())
                            : fmt::format("timed out after {} ms", timeout.count());
}

class ConnectTask final : public Operation::Task {
 public:
  ConnectTask(EventLoop& loop, std::chrono::milliseconds timeout, ConnectDone done)
      : loop_(loop),
        timeout_(timeout),
        done_(std::move(done)),
        deadline_(loop, [this] { finish(ConnectFailure{timeout_text(timeout_)}); }) {}
  ConnectTask(const ConnectTask&) = delete;
  ConnectTask& operator=(const ConnectTask&) = delete;
  ConnectTask(ConnectTask&&) = delete;
  ConnectTask& operator=(ConnectTask&&) = delete;
  ~ConnectTask() override = default;

  void start(const SocketAddress& address, const std::optional<SocketAddress>& source) {
    error_ = open(address, source);
    writable_.reset(event_new(loop_.base(), fd_.get(), error_ == 0 ? EV_WRITE : short{0},
                              &ConnectTask::on_writable, this));
    if (!writable_) {
      throw std::bad_alloc();
    }
    deadline_.start(timeout_);
    if (error_ == 0) {
      event_add(writable_.get(), nullptr);
    } else {
      const timeval now{};
      event_add(writable_.get(), &now);
    }
  }

 private:
  /// 0 when the connection is made or under way, else errno.
  int open(const SocketAddress& address, const std::optional<SocketAddress>& source) {
    const int family = address.family() == IpFamily::v4 ? AF_INET : AF_INET6;
    fd_ = Descriptor(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (fd_.get() < 0) {
      return errno;
    }
    if (source && ::bind(fd_.get(), source->get(), source->length()) != 0) {
      return errno;
    }
    bound_ = Bound::yes;
    if (::connect(fd_.get(), address.get(), address.length()) != 0 && errno != EINPROGRESS) {
      return errno;
    }
    return 0;
  }

  static void on_writable(evutil_socket_t fd, short /*what*/, void* self) noexcept {
    auto* task = static_cast<ConnectTask*>(self);
    int error = task->error_;
    socklen_t length = sizeof error;
    if (error == 0 && ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) {
      error = errno;
    }
    if (error != 0) {
      task->finish(ConnectFailure{system_message(error), task->cause_of(error)});
      return;
    }
    event_del(task->writable_.get());
    task->deadline_.stop();
    auto connection = Connection::adopt(task->loop_, task->fd_.release());
    const ConnectDone done = std::move(task->done_);
    done(std::move(connection));
  }

  /// Without socket or source address nobody was asked; nor was anybody without a free port.
  [[nodiscard]] ConnectFailure::Cause cause_of(int error) const {
    const bool own = bound_ == Bound::no || error == EADDRNOTAVAIL || error == EAGAIN ||
                     error == ENOBUFS || error == ENOMEM;
    return own ? ConnectFailure::Cause::own : ConnectFailure::Cause::peer;
  }

  void finish(ConnectFailure failure) {
    event_del(writable_.get());
    deadline_.stop();
    const ConnectDone done = std::move(done_);
    done(Unexpected<ConnectFailure>(std::move(failure)));
  }

  EventLoop& loop_;
  std::chrono::milliseconds timeout_;
  ConnectDone done_;
  Timer deadline_;
  int error_ = 0;
  enum class Bound { no, yes } bound_ = Bound::no;
  Descriptor fd_;
  EventHandle writable_;
};

}  // namespace

Operation connect(EventLoop& loop, const SocketAddress& address,
                  const std::optional<SocketAddress>& source, std::chrono::milliseconds timeout,
                  std::function<void(Expected<std::unique_ptr<Connection>, ConnectFailure>)> done) {
  auto task = std::make_unique<ConnectTask>(loop, timeout, std::move(done));
  task->start(address, source);
  return Operation(std::move(task));
}

}  // namespace relay::net
