#include "relay/net/dns_exchange.h"

#include <array>
#include <cerrno>
#include <cstdint>
#include <new>
#include <optional>
#include <span>
#include <sys/socket.h>
#include <utility>
#include <vector>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/rand.h>

#include "relay/net/handles.h"

namespace relay::net {
namespace {

/// Datagrams with a wrong id or question before a spoofing attempt is taken for granted.
constexpr int kMaxStrangers = 16;

struct FreeStream {
  void operator()(bufferevent* handle) const { bufferevent_free(handle); }
};
using StreamHandle = std::unique_ptr<bufferevent, FreeStream>;

Descriptor new_socket(const SocketAddress& address, int type) {
  return Descriptor(socket(address.get()->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

std::uint16_t random_id() {
  std::uint16_t id = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&id), sizeof id) != 1) {
    throw std::runtime_error("no random numbers");
  }
  return id;
}

}  // namespace

struct DnsExchange::State {
  State(EventLoop& event_loop, const DnsResolver& asked, const DnsAsk& ask,
        std::chrono::milliseconds limit, Callback callback)
      : loop(event_loop),
        resolver(asked),
        question{random_id(), ask.name, ask.type, ask.checking},
        query(encode_query(question)),
        timeout(limit),
        done(std::move(callback)),
        deadline(event_loop, [this] { finish(std::exchange(failed_at_once, DnsSilence{})); }) {}

  /// Reports from the loop, never from inside the constructor.
  void fail_soon(int error) {
    failed_at_once = DnsUnreachable{system_message(error)};
    deadline.start(std::chrono::milliseconds(0));
  }

  void finish(DnsReply reply) {
    readable.reset();
    stream.reset();
    deadline.stop();
    const auto callback = std::move(done);
    callback(std::move(reply));  // may destroy this
  }

  void ask_by_datagram() {
    datagram = new_socket(resolver.address, SOCK_DGRAM);
    // connect() makes the kernel choose a random port and drop what comes from elsewhere.
    if (datagram.get() < 0 ||
        connect(datagram.get(), resolver.address.get(), resolver.address.length()) != 0 ||
        send(datagram.get(), query.data(), query.size(), MSG_NOSIGNAL) < 0) {
      return fail_soon(errno);
    }
    readable.reset(event_new(loop.base(), datagram.get(), EV_READ | EV_PERSIST, on_datagram, this));
    if (!readable || event_add(readable.get(), nullptr) != 0) {
      throw std::bad_alloc();
    }
    deadline.start(timeout);
  }

  // NOLINTNEXTLINE(bugprone-exception-escape): what escapes is a bug and ends the process
  static void on_datagram(evutil_socket_t /*fd*/, short /*what*/, void* self) noexcept {
    static_cast<State*>(self)->receive();
  }

  void receive() {
    std::array<std::uint8_t, 4096> buffer{};
    while (true) {
      const ssize_t size = recv(datagram.get(), buffer.data(), buffer.size(), 0);
      if (size < 0) {
        if (errno == EAGAIN || errno == EINTR) {
          return;
        }
        return finish(DnsUnreachable{system_message(errno)});
      }
      const auto packet = std::span(buffer).first(static_cast<std::size_t>(size));
      DnsDecoded decoded = decode_answer(packet, question, resolver.trust);
      const bool stranger = std::holds_alternative<DnsMismatch>(decoded);
      if (stranger && ++strangers < kMaxStrangers) {
        continue;
      }
      if (auto reply = as_reply(std::move(decoded))) {
        return finish(std::move(*reply));
      }
      return ask_by_stream();  // cut off, unreadable, or somebody is guessing
    }
  }

  void ask_by_stream() {
    readable.reset();
    datagram = Descriptor();
    deadline.start(timeout);
    Descriptor fd = new_socket(resolver.address, SOCK_STREAM);
    if (fd.get() < 0) {
      return fail_soon(errno);
    }
    stream.reset(bufferevent_socket_new(loop.base(), fd.get(),
                                        BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS));
    if (!stream) {
      throw std::bad_alloc();
    }
    std::ignore = fd.release();
    bufferevent_setcb(stream.get(), on_stream, nullptr, on_stream_event, this);
    bufferevent_enable(stream.get(), EV_READ | EV_WRITE);
    const std::array<std::uint8_t, 2> length{static_cast<std::uint8_t>(query.size() >> 8U),
                                             static_cast<std::uint8_t>(query.size() & 0xffU)};
    bufferevent_write(stream.get(), length.data(), length.size());
    bufferevent_write(stream.get(), query.data(), query.size());
    if (bufferevent_socket_connect(stream.get(), resolver.address.get(),
                                   static_cast<int>(resolver.address.length())) != 0) {
      fail_soon(errno);
    }
  }

  // NOLINTNEXTLINE(bugprone-exception-escape): what escapes is a bug and ends the process
  static void on_stream(bufferevent* /*stream*/, void* self) noexcept {
    static_cast<State*>(self)->receive_stream();
  }

  static void on_stream_event(bufferevent* /*stream*/, short what, void* self) noexcept {
    if ((what & (BEV_EVENT_ERROR | BEV_EVENT_EOF)) == 0) {
      return;
    }
    const int error = (what & BEV_EVENT_ERROR) != 0 ? evutil_socket_geterror(-1) : 0;
    static_cast<State*>(self)->finish(
        DnsUnreachable{error != 0 ? system_message(error) : "connection closed without an answer"});
  }

  void receive_stream() {
    evbuffer* input = bufferevent_get_input(stream.get());
    const std::size_t available = evbuffer_get_length(input);
    std::array<std::uint8_t, 2> prefix{};
    if (available < prefix.size()) {
      return;
    }
    evbuffer_copyout(input, prefix.data(), prefix.size());
    const std::size_t size = (std::size_t{prefix[0]} << 8U) | prefix[1];
    if (available < prefix.size() + size) {
      return;
    }
    std::vector<std::uint8_t> packet(size);
    evbuffer_drain(input, prefix.size());
    evbuffer_remove(input, packet.data(), packet.size());
    auto reply = as_reply(decode_answer(packet, question, resolver.trust));
    finish(reply ? std::move(*reply) : DnsUnreachable{"malformed answer"});
  }

  /// What can be reported; nothing for what another transport may do better.
  static std::optional<DnsReply> as_reply(DnsDecoded decoded) {
    return std::visit(
        [](auto&& value) -> std::optional<DnsReply> {
          if constexpr (std::is_constructible_v<DnsReply, decltype(value)>) {
            return DnsReply(std::forward<decltype(value)>(value));
          } else {
            return std::nullopt;
          }
        },
        std::move(decoded));
  }

  EventLoop& loop;
  DnsResolver resolver;
  DnsQuestion question;
  std::vector<std::uint8_t> query;
  std::chrono::milliseconds timeout;
  Callback done;
  DnsReply failed_at_once = DnsSilence{};
  int strangers = 0;
  Descriptor datagram;
  EventHandle readable;
  StreamHandle stream;
  Timer deadline;
};

DnsExchange::DnsExchange(EventLoop& loop, const DnsResolver& resolver, const DnsAsk& ask,
                         std::chrono::milliseconds timeout, Callback done)
    : state_(std::make_unique<State>(loop, resolver, ask, timeout, std::move(done))) {
  state_->ask_by_datagram();
}

DnsExchange::~DnsExchange() = default;

}  // namespace relay::net
