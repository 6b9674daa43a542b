// bench_sink: an SMTP server with STARTTLS that takes every message and throws it away, fast
// enough not to be what a benchmark measures. One thread, libevent and OpenSSL.
//
//   bench_sink --listen ADDRESS:PORT [--listen …] --cert FILE --key FILE --control ADDRESS:PORT
//
// The control port takes one command per line and answers one JSON line to each:
//   stats     the counts since the last reset
//   reset     sets the counts to zero
//   expect N  answers as stats does once N messages were taken since the last reset
// SIGTERM prints the counts to standard output and ends the program.
#include <charconv>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

namespace {

template <auto Release>
struct Releaser {
  template <class T>
  void operator()(T* handle) const {
    Release(handle);
  }
};
using Base = std::unique_ptr<event_base, Releaser<event_base_free>>;
using Event = std::unique_ptr<event, Releaser<event_free>>;
using Context = std::unique_ptr<SSL_CTX, Releaser<SSL_CTX_free>>;
using Acceptor = std::unique_ptr<evconnlistener, Releaser<evconnlistener_free>>;
using Stream = std::unique_ptr<bufferevent, Releaser<bufferevent_free>>;

struct Counts {
  std::uint64_t messages = 0, plaintext_messages = 0, octets = 0;
  std::uint64_t connections = 0, full_handshakes = 0, resumed_handshakes = 0;
  std::uint64_t failed_handshakes = 0, most_open = 0;
};

class Sink;

/// One client: commands line by line, message bodies in bulk.
class Client {
 public:
  Client(Sink& sink, evutil_socket_t fd);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

 private:
  enum class State { command, body, closing };

  static void on_read(bufferevent* /*stream*/, void* self) noexcept {
    static_cast<Client*>(self)->read();
  }
  static void on_write(bufferevent* /*stream*/, void* self) noexcept {
    auto* client = static_cast<Client*>(self);
    if (client->state_ == State::closing) {
      delete client;
    }
  }
  static void on_event(bufferevent* /*stream*/, short what, void* self) noexcept;

  void read();
  void command(std::string_view line);
  bool body(evbuffer* input);
  void start_tls();
  void watch();

  Sink& sink_;
  Stream stream_;
  State state_ = State::command;
  bool tls_ = false;
  bool wants_tls_ = false;
  std::string replies_;
};

/// A connection to the control port.
class Control {
 public:
  Control(Sink& sink, evutil_socket_t fd);
  Control(const Control&) = delete;
  Control& operator=(const Control&) = delete;
  ~Control();
  void message_taken();

 private:
  static void on_read(bufferevent* /*stream*/, void* self) noexcept {
    static_cast<Control*>(self)->read();
  }
  static void on_event(bufferevent* /*stream*/, short /*what*/, void* self) noexcept {
    delete static_cast<Control*>(self);
  }
  void read();
  void answer();

  Sink& sink_;
  Stream stream_;
  std::uint64_t expected_ = 0;
};

class Sink {
 public:
  Sink(const std::string& certificate, const std::string& key);

  void listen(std::string_view address) { acceptors_.push_back(bind(address, &Sink::on_client)); }
  void control(std::string_view address) { acceptors_.push_back(bind(address, &Sink::on_control)); }
  void run();

  [[nodiscard]] event_base* base() const { return base_.get(); }
  [[nodiscard]] SSL_CTX* context() const { return context_.get(); }
  [[nodiscard]] std::string json() const;
  void message_taken() const {
    if (watcher != nullptr) {
      watcher->message_taken();
    }
  }

  Counts counts;
  std::uint64_t open = 0;
  Control* watcher = nullptr;

 private:
  Acceptor bind(std::string_view address, evconnlistener_cb callback);
  static void on_client(evconnlistener* /*l*/, evutil_socket_t fd, sockaddr* /*a*/, int /*n*/,
                        void* self) noexcept {
    new Client(*static_cast<Sink*>(self), fd);
  }
  static void on_control(evconnlistener* /*l*/, evutil_socket_t fd, sockaddr* /*a*/, int /*n*/,
                         void* self) noexcept {
    new Control(*static_cast<Sink*>(self), fd);
  }
  static void on_signal(evutil_socket_t /*number*/, short /*what*/, void* self) noexcept {
    event_base_loopbreak(static_cast<Sink*>(self)->base());
  }

  Base base_{event_base_new()};
  Context context_{SSL_CTX_new(TLS_server_method())};
  std::vector<Acceptor> acceptors_;
};

// ---------------------------------------------------------------------------------------------

Client::Client(Sink& sink, evutil_socket_t fd)
    : sink_(sink), stream_(bufferevent_socket_new(sink.base(), fd, BEV_OPT_CLOSE_ON_FREE)) {
  const int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  ++sink_.counts.connections;
  sink_.counts.most_open = std::max(sink_.counts.most_open, ++sink_.open);
  watch();
  constexpr std::string_view kGreeting = "220 sink ESMTP\r\n";
  bufferevent_write(stream_.get(), kGreeting.data(), kGreeting.size());
}

Client::~Client() {
  --sink_.open;
}

void Client::watch() {
  bufferevent_setcb(stream_.get(), &on_read, &on_write, &on_event, this);
  bufferevent_enable(stream_.get(), EV_READ | EV_WRITE);
}

void Client::on_event(bufferevent* stream, short what, void* self) noexcept {
  auto* client = static_cast<Client*>(self);
  if ((what & BEV_EVENT_CONNECTED) != 0) {
    SSL* ssl = bufferevent_openssl_get_ssl(stream);
    auto& counts = client->sink_.counts;
    ++(SSL_session_reused(ssl) == 1 ? counts.resumed_handshakes : counts.full_handshakes);
    return;
  }
  SSL* ssl = bufferevent_openssl_get_ssl(stream);
  if (ssl != nullptr && SSL_is_init_finished(ssl) == 0) {
    ++client->sink_.counts.failed_handshakes;
  }
  delete client;
}

void Client::read() {
  evbuffer* input = bufferevent_get_input(stream_.get());
  while (state_ != State::closing && !wants_tls_) {
    if (state_ == State::body) {
      if (!body(input)) {
        break;
      }
      continue;
    }
    std::size_t length = 0;
    const std::unique_ptr<char, Releaser<std::free>> line{
        evbuffer_readln(input, &length, EVBUFFER_EOL_CRLF)};
    if (!line) {
      break;
    }
    command({line.get(), length});
  }
  if (!replies_.empty()) {
    bufferevent_write(stream_.get(), replies_.data(), replies_.size());
    replies_.clear();
  }
  if (wants_tls_) {
    start_tls();
  }
}

// Takes message text up to and with the final dot; false: more has to arrive.
bool Client::body(evbuffer* input) {
  constexpr std::string_view kEnd = "\r\n.\r\n";
  const evbuffer_ptr end = evbuffer_search(input, kEnd.data(), kEnd.size(), nullptr);
  const std::size_t available = evbuffer_get_length(input);
  if (end.pos < 0) {
    // The last octets may be the beginning of the end.
    const std::size_t passed = available > kEnd.size() ? available - kEnd.size() + 1 : 0;
    evbuffer_drain(input, passed);
    sink_.counts.octets += passed;
    return false;
  }
  const std::size_t passed = static_cast<std::size_t>(end.pos) + kEnd.size();
  evbuffer_drain(input, passed);
  sink_.counts.octets += passed;
  ++sink_.counts.messages;
  sink_.counts.plaintext_messages += tls_ ? 0U : 1U;
  state_ = State::command;
  replies_ += "250 2.0.0 taken\r\n";
  sink_.message_taken();
  return true;
}

void Client::command(std::string_view line) {
  const auto is = [line](std::string_view verb) {
    return line.size() >= verb.size() &&
           evutil_ascii_strncasecmp(line.data(), verb.data(), verb.size()) == 0;
  };
  if (is("EHLO")) {
    replies_ += tls_ ? "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n"
                       "250 SIZE 104857600\r\n"
                     : "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n"
                       "250-STARTTLS\r\n250 SIZE 104857600\r\n";
  } else if (is("MAIL") || is("RCPT") || is("RSET") || is("NOOP") || is("HELO")) {
    replies_ += "250 2.0.0 ok\r\n";
  } else if (is("DATA")) {
    replies_ += "354 go on\r\n";
    state_ = State::body;
  } else if (is("STARTTLS") && !tls_) {
    replies_ += "220 2.0.0 go on\r\n";
    wants_tls_ = true;
  } else if (is("QUIT")) {
    replies_ += "221 2.0.0 bye\r\n";
    state_ = State::closing;
  } else {
    replies_ += "500 5.5.1 not known here\r\n";
  }
}

void Client::start_tls() {
  wants_tls_ = false;
  tls_ = true;
  // The 220 has to leave in plaintext before the stream changes hands.
  evbuffer* output = bufferevent_get_output(stream_.get());
  const evutil_socket_t fd = bufferevent_getfd(stream_.get());
  evbuffer_unfreeze(output, 1);  // a bufferevent lets nobody else take from its output
  while (evbuffer_get_length(output) > 0 && evbuffer_write(output, fd) > 0) {
  }
  bufferevent_setcb(stream_.get(), nullptr, nullptr, nullptr, nullptr);
  bufferevent_setfd(stream_.get(), -1);
  stream_.reset();
  stream_.reset(bufferevent_openssl_socket_new(sink_.base(), fd, SSL_new(sink_.context()),
                                               BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE));
  watch();
}

// ---------------------------------------------------------------------------------------------

Control::Control(Sink& sink, evutil_socket_t fd)
    : sink_(sink), stream_(bufferevent_socket_new(sink.base(), fd, BEV_OPT_CLOSE_ON_FREE)) {
  bufferevent_setcb(stream_.get(), &on_read, nullptr, &on_event, this);
  bufferevent_enable(stream_.get(), EV_READ | EV_WRITE);
}

Control::~Control() {
  if (sink_.watcher == this) {
    sink_.watcher = nullptr;
  }
}

void Control::answer() {
  const std::string line = sink_.json() + "\n";
  bufferevent_write(stream_.get(), line.data(), line.size());
}

void Control::message_taken() {
  if (sink_.counts.messages >= expected_) {
    sink_.watcher = nullptr;
    answer();
  }
}

void Control::read() {
  evbuffer* input = bufferevent_get_input(stream_.get());
  while (true) {
    std::size_t length = 0;
    const std::unique_ptr<char, Releaser<std::free>> text{
        evbuffer_readln(input, &length, EVBUFFER_EOL_ANY)};
    if (!text) {
      return;
    }
    std::string_view line{text.get(), length};
    if (line == "reset") {
      sink_.counts = {};
      sink_.counts.most_open = sink_.open;
    } else if (line.substr(0, 7) == "expect ") {
      line.remove_prefix(7);
      std::from_chars(line.data(), line.data() + line.size(), expected_);
      sink_.watcher = this;
      message_taken();
      continue;
    }
    answer();
  }
}

// ---------------------------------------------------------------------------------------------

Sink::Sink(const std::string& certificate, const std::string& key) {
  SSL_CTX* context = context_.get();
  // Clients that go without close_notify are the rule in SMTP.
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
  constexpr std::string_view kSessions = "bench_sink";
  SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(kSessions.data()),
                                 kSessions.size());
  if (SSL_CTX_use_certificate_chain_file(context, certificate.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context, key.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw std::runtime_error(fmt::format("cannot load {} and {}", certificate, key));
  }
}

Acceptor Sink::bind(std::string_view address, evconnlistener_cb callback) {
  sockaddr_storage where{};
  int length = sizeof where;
  const std::string text{address};
  if (evutil_parse_sockaddr_port(text.c_str(), reinterpret_cast<sockaddr*>(&where), &length) != 0) {
    throw std::runtime_error(fmt::format("{} is not ADDRESS:PORT", text));
  }
  Acceptor acceptor{evconnlistener_new_bind(base_.get(), callback, this,
                                            LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 4096,
                                            reinterpret_cast<sockaddr*>(&where), length)};
  if (!acceptor) {
    throw std::runtime_error(fmt::format("cannot listen on {}: {}", text, std::strerror(errno)));
  }
  return acceptor;
}

std::string Sink::json() const {
  return fmt::format(
      R"({{"messages": {}, "plaintext_messages": {}, "octets": {}, "connections": {}, )"
      R"("full_handshakes": {}, "resumed_handshakes": {}, "failed_handshakes": {}, )"
      R"("most_open": {}}})",
      counts.messages, counts.plaintext_messages, counts.octets, counts.connections,
      counts.full_handshakes, counts.resumed_handshakes, counts.failed_handshakes,
      counts.most_open);
}

void Sink::run() {
  const Event terminate{evsignal_new(base_.get(), SIGTERM, &on_signal, this)};
  const Event interrupt{evsignal_new(base_.get(), SIGINT, &on_signal, this)};
  event_add(terminate.get(), nullptr);
  event_add(interrupt.get(), nullptr);
  event_base_dispatch(base_.get());
  fmt::print("{}\n", json());
}

int serve(const std::vector<std::string>& arguments) {
  std::vector<std::string> listen;
  std::string certificate;
  std::string key;
  std::string control;
  for (std::size_t i = 0; i + 1 < arguments.size(); i += 2) {
    const std::string& name = arguments[i];
    const std::string& value = arguments[i + 1];
    if (name == "--listen") {
      listen.push_back(value);
    } else if (name == "--cert") {
      certificate = value;
    } else if (name == "--key") {
      key = value;
    } else if (name == "--control") {
      control = value;
    } else {
      throw std::runtime_error(fmt::format("unknown option {}", name));
    }
  }
  if (listen.empty() || certificate.empty() || key.empty() || control.empty()) {
    throw std::runtime_error(
        "usage: bench_sink --listen ADDRESS:PORT … --cert FILE --key FILE --control ADDRESS:PORT");
  }
  Sink sink{certificate, key};
  for (const std::string& address : listen) {
    sink.listen(address);
  }
  sink.control(control);
  sink.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  try {
    return serve({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench_sink: {}\n", error.what());
    return 1;
  }
}
