#include "relay/event_sink.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "relay/net/connection.h"
#include "rpt/record.h"

namespace relay {
namespace {

std::string system_error(int error) {
  std::array<char, 128> text{};
  return ::strerror_r(error, text.data(), text.size());
}

/// A connected, non-blocking socket; the error is the reason.
Expected<int, std::string> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return Unexpected<std::string>("the socket's path is too long");
  }
  path.copy(address.sun_path, path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return Unexpected<std::string>(system_error(errno));
  }
  const void* const raw = &address;
  // EAGAIN: the listener's backlog is full; a UNIX socket does not connect later.
  if (::connect(fd, static_cast<const sockaddr*>(raw), sizeof address) != 0) {
    const int error = errno;
    ::close(fd);
    return Unexpected<std::string>(fmt::format("{}: {}", path, system_error(error)));
  }
  return fd;
}

class SocketSink final : public EventSink, private net::Connection::Observer {
 public:
  SocketSink(net::EventLoop& loop, std::string path)
      : loop_(loop), path_(std::move(path)), later_(loop, [this] { finish(fault_); }) {}

  void send(std::string lines, Done done) override {
    done_ = std::move(done);
    if (connection_ == nullptr) {
      const auto fd = connect_to(path_);
      if (!fd) {
        fault_ = fd.error();
        later_.start(std::chrono::milliseconds(0));
        return;
      }
      connection_ = net::Connection::adopt(loop_, *fd);
      connection_->set_observer(this);
    }
    connection_->write(lines);
  }

 private:
  void on_bytes(std::string_view /*bytes*/) override {}  // nobody asked
  void on_drained() override { finish(""); }
  void on_closed(net::Connection::CloseReason /*reason*/, std::string detail) override {
    connection_.reset();
    finish(fmt::format("{}: {}", path_, detail));
  }
  void finish(const std::string& fault) {
    if (const Done done = std::exchange(done_, nullptr)) {
      done(fault);
    }
  }

  net::EventLoop& loop_;
  const std::string path_;
  std::string fault_;
  net::Timer later_;
  std::unique_ptr<net::Connection> connection_;
  Done done_;
};

void add_addresses(const net::DnsResult& result, std::uint16_t port,
                   std::vector<net::SocketAddress>& addresses) {
  const auto* answer = std::get_if<net::DnsAnswer>(&result);
  const auto* texts =
      answer == nullptr ? nullptr : std::get_if<std::vector<std::string>>(&answer->records);
  if (texts == nullptr) {
    return;
  }
  for (const std::string& text : *texts) {
    if (const auto address = net::SocketAddress::from_ip(text, port)) {
      addresses.push_back(*address);
    }
  }
}

class WebSink final : public EventSink {
 public:
  WebSink(net::EventLoop& loop, const net::Clock& clock, rpt::Destination target,
          net::DomainName host, WebSinkOptions options)
      : target_(std::move(target)),
        host_(std::move(host)),
        token_(std::move(options.token)),
        dns_(loop, clock, std::move(options.dns)),
        https_(loop, std::move(options.https)) {}

  void send(std::string lines, Done done) override {
    lines_ = std::move(lines);
    done_ = std::move(done);
    a_.reset();
    aaaa_.reset();
    a_query_ = query(net::DnsType::a, a_);
    aaaa_query_ = query(net::DnsType::aaaa, aaaa_);
  }

 private:
  net::Operation query(net::DnsType type, std::optional<net::DnsResult>& into) {
    return dns_.query(target_.host, type, net::DnsCacheUse::allowed,
                      [this, &into](net::DnsResult answer) {
                        into = std::move(answer);
                        if (a_ && aaaa_) {
                          post();
                        }
                      });
  }

  void post() {
    std::vector<net::SocketAddress> addresses;
    add_addresses(*aaaa_, target_.port, addresses);
    add_addresses(*a_, target_.port, addresses);
    if (addresses.empty()) {
      finish("no address is known");
      return;
    }
    net::HttpsPost content;
    content.content = std::move(lines_);
    content.content_type = "application/x-ndjson";
    content.userinfo = target_.userinfo;
    content.bearer = token_;
    transfer_ = https_.post({host_, target_.port, target_.path, std::move(addresses)}, content,
                            [this](const Expected<net::HttpsResponse, net::HttpsFailure>& answer) {
                              if (!answer) {
                                finish(answer.error().reason);
                              } else if (answer->status / 100 != 2) {
                                finish(fmt::format("status {}", answer->status));
                              } else {
                                finish("");
                              }
                            });
  }

  void finish(const std::string& fault) {
    const Done done = std::move(done_);
    done(fault.empty() ? fault : fmt::format("{}: {}", target_.uri, fault));
  }

  const rpt::Destination target_;
  const net::DomainName host_;
  const std::string token_;
  net::DnsClient dns_;
  net::HttpsClient https_;
  std::string lines_;
  Done done_;
  std::optional<net::DnsResult> a_, aaaa_;
  net::Operation a_query_, aaaa_query_, transfer_;
};

}  // namespace

std::unique_ptr<EventSink> socket_sink(net::EventLoop& loop, std::string path) {
  return std::make_unique<SocketSink>(loop, std::move(path));
}

Expected<std::unique_ptr<EventSink>, std::string> web_sink(net::EventLoop& loop,
                                                           const net::Clock& clock,
                                                           WebSinkOptions options) {
  auto target = rpt::parse_destination(options.url);
  if (!target || target->scheme != rpt::Scheme::https) {
    return Unexpected<std::string>("events.to is no https address");
  }
  auto host = net::DomainName::parse(target->host);
  if (!host) {
    return Unexpected<std::string>("events.to names no host");
  }
  return std::make_unique<WebSink>(loop, clock, std::move(*target), std::move(*host),
                                   std::move(options));
}

}  // namespace relay
