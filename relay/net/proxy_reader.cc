#include "relay/net/proxy_reader.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <new>
#include <string_view>
#include <sys/socket.h>
#include <tuple>
#include <utility>

#include <event2/event.h>

namespace relay::net {
namespace {

// A proxy sends it at once.
constexpr std::chrono::seconds kHeaderWait{10};
constexpr std::size_t kPeeked = 8192;

}  // namespace

ProxyReader::ProxyReader(EventLoop& loop, int fd, std::function<void(ProxyReader&, Result)> done)
    : done_(std::move(done)),
      socket_(fd),
      deadline_(loop, [this] { finish(Unexpected<std::string>("no PROXY header within 10 s")); }),
      readable_(event_new(loop.base(), fd, EV_READ | EV_PERSIST, &ProxyReader::on_readable, this)) {
  if (!readable_ || event_add(readable_.get(), nullptr) != 0) {
    throw std::bad_alloc();
  }
  deadline_.start(kHeaderWait);
}

int ProxyReader::release() {
  readable_.reset();
  return socket_.release();
}

void ProxyReader::on_readable(int /*fd*/, short /*what*/, void* self) noexcept {
  static_cast<ProxyReader*>(self)->read();
}

void ProxyReader::read() {
  std::array<char, kPeeked> buffer{};
  const ssize_t count = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_PEEK);
  if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (count <= 0) {
    finish(Unexpected<std::string>(count == 0 ? std::string("closed before the PROXY header")
                                              : system_message(errno)));
    return;
  }
  const std::size_t before = octets_.size();
  octets_.append(buffer.data(), static_cast<std::size_t>(count));
  auto header = parse_proxy_header(octets_);
  if (!header) {
    finish(Unexpected<std::string>(std::move(header.error())));
    return;
  }
  // Of what was only looked at, what belongs to the header is taken.
  const std::size_t taken = (*header ? (*header)->length : octets_.size()) - before;
  std::ignore = ::recv(socket_.get(), buffer.data(), taken, 0);
  if (*header) {
    finish(**header);
  }
}

void ProxyReader::finish(Result result) {
  deadline_.stop();
  readable_.reset();
  const auto done = std::move(done_);
  done(*this, std::move(result));
}

}  // namespace relay::net
