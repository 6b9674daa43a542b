#include "tests/relay/net/dns_responder.h"

#include <array>
#include <list>
#include <netinet/in.h>
#include <stdexcept>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>

#include <event2/event.h>

namespace support {

using relay::net::DnsQuestion;
using relay::net::DnsType;
using relay::net::SocketAddress;

namespace {

SocketAddress bound_address(int fd) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length);
  return *SocketAddress::from_sockaddr(reinterpret_cast<const sockaddr*>(&storage), length);
}

int bound_socket(int type, const SocketAddress& address) {
  const int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (bind(fd, address.get(), address.length()) != 0) {
    close(fd);
    return -1;
  }
  return fd;
}

void close_unless_closed(int fd) {
  if (fd >= 0) {
    close(fd);
  }
}

DnsQuestion read_question(std::string_view packet) {
  const auto octet = [&](std::size_t at) { return static_cast<unsigned char>(packet.at(at)); };
  DnsQuestion question{static_cast<std::uint16_t>(octet(0) << 8U | octet(1)), "", DnsType::a};
  std::size_t at = 12;
  while (octet(at) != 0) {
    question.name += question.name.empty() ? "" : ".";
    question.name += packet.substr(at + 1, octet(at));
    at += octet(at) + 1U;
  }
  question.type = static_cast<DnsType>(octet(at + 1) << 8U | octet(at + 2));
  return question;
}

struct FreeEvent {
  void operator()(event* handle) const { event_free(handle); }
};
using EventHandle = std::unique_ptr<event, FreeEvent>;

}  // namespace

struct DnsResponder::State {
  struct Stream {
    State* state;
    int fd;
    std::string input;
    EventHandle readable;
  };

  State(relay::net::EventLoop& event_loop, Script answers)
      : loop(event_loop), script(std::move(answers)) {
    // Both transports need the same port; another process may hold one of the two.
    const SocketAddress any_port = *SocketAddress::from_ip("127.0.0.1", 0);
    while (tcp < 0) {
      udp = bound_socket(SOCK_DGRAM, any_port);
      tcp = bound_socket(SOCK_STREAM, bound_address(udp));
      if (tcp < 0) {
        close(udp);
      }
    }
    if (listen(tcp, 8) != 0) {
      throw std::runtime_error("listen");
    }
    udp_readable = watch(udp, on_datagram, this);
    tcp_readable = watch(tcp, on_connection, this);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    udp_readable.reset();
    tcp_readable.reset();
    close(udp);
    close_unless_closed(tcp);
    for (Stream& one : streams) {
      one.readable.reset();
      close_unless_closed(one.fd);
    }
  }

  EventHandle watch(int fd, event_callback_fn callback, void* argument) const {
    EventHandle handle(event_new(loop.base(), fd, EV_READ | EV_PERSIST, callback, argument));
    event_add(handle.get(), nullptr);
    return handle;
  }

  std::vector<std::string> respond(std::string_view packet, DnsTransport transport,
                                   std::uint16_t source_port) {
    const DnsAsked now{read_question(packet), transport, source_port};
    asked.push_back(now);
    return script(now);
  }

  static void on_datagram(evutil_socket_t fd, short /*what*/, void* self) {
    std::array<char, 4096> buffer{};
    sockaddr_storage source{};
    socklen_t length = sizeof source;
    auto* address = reinterpret_cast<sockaddr*>(&source);
    const ssize_t size = recvfrom(fd, buffer.data(), buffer.size(), 0, address, &length);
    if (size < 12) {
      return;
    }
    const auto port = SocketAddress::from_sockaddr(address, length)->port();
    const auto packets = static_cast<State*>(self)->respond(
        {buffer.data(), static_cast<std::size_t>(size)}, DnsTransport::udp, port);
    for (const std::string& packet : packets) {
      sendto(fd, packet.data(), packet.size(), 0, address, length);
    }
  }

  static void on_connection(evutil_socket_t listener, short /*what*/, void* self) {
    auto& state = *static_cast<State*>(self);
    const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      Stream& stream = state.streams.emplace_back(Stream{&state, fd, {}, nullptr});
      stream.readable = state.watch(fd, on_stream, &stream);
    }
  }

  static void on_stream(evutil_socket_t fd, short /*what*/, void* self) {
    auto& stream = *static_cast<Stream*>(self);
    std::array<char, 4096> buffer{};
    const ssize_t size = recv(fd, buffer.data(), buffer.size(), 0);
    if (size <= 0) {
      stream.readable.reset();
      return;
    }
    stream.input.append(buffer.data(), static_cast<std::size_t>(size));
    if (stream.input.size() < 14) {
      return;
    }
    const std::string query = stream.input.substr(2);
    stream.input.clear();
    const DnsStream mode = stream.state->stream;
    for (const std::string& packet : stream.state->respond(query, DnsTransport::tcp, 0)) {
      const std::string framed = std::string{static_cast<char>(packet.size() >> 8U),
                                             static_cast<char>(packet.size() & 0xffU)} +
                                 packet;
      if (mode != DnsStream::hang_up) {
        const std::size_t sent = mode == DnsStream::half ? framed.size() / 2 : framed.size();
        send(fd, framed.data(), sent, MSG_NOSIGNAL);
      }
    }
    if (mode == DnsStream::hang_up) {
      stream.readable.reset();
      close(std::exchange(stream.fd, -1));
    }
  }

  relay::net::EventLoop& loop;
  Script script;
  DnsStream stream = DnsStream::whole;
  std::vector<DnsAsked> asked;
  int udp = -1;
  int tcp = -1;
  EventHandle udp_readable;
  EventHandle tcp_readable;
  std::list<Stream> streams;
};

DnsResponder::DnsResponder(relay::net::EventLoop& loop, Script script)
    : state_(std::make_unique<State>(loop, std::move(script))) {}
DnsResponder::~DnsResponder() = default;

SocketAddress DnsResponder::address() const {
  return bound_address(state_->udp);
}
const std::vector<DnsAsked>& DnsResponder::asked() const {
  return state_->asked;
}
void DnsResponder::set_script(Script script) {
  state_->script = std::move(script);
}
void DnsResponder::set_stream(DnsStream stream) {
  state_->stream = stream;
  if (stream == DnsStream::refused) {
    state_->tcp_readable.reset();
    close_unless_closed(std::exchange(state_->tcp, -1));
  }
}

}  // namespace support
