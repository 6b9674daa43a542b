#include "relay/reception/reception.h"

#include <cstdlib>
#include <filesystem>
#include <string>
#include <unistd.h>

#include <doctest/doctest.h>

#include "relay/spool/spool_reader.h"

using namespace std::chrono_literals;
using namespace relay;
using reception::ConnectionCounts;
using reception::ListenerBinding;
using reception::Reception;
using reception::ReceptionContext;
using reception::ReceptionSettings;

namespace {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::temp_directory_path() / "reception-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    path_ = name;
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] std::string spool() const { return path_ + "/spool"; }

 private:
  std::string path_;
};

/// What the daemon logged.
class LogFile {
 public:
  LogFile() : file_(std::tmpfile()) { REQUIRE(file_ != nullptr); }
  ~LogFile() { (void)std::fclose(file_); }
  LogFile(const LogFile&) = delete;
  LogFile& operator=(const LogFile&) = delete;
  [[nodiscard]] int fd() const { return ::fileno(file_); }
  [[nodiscard]] std::string text() const {
    std::string result(static_cast<std::size_t>(::lseek(fd(), 0, SEEK_END)), '\0');
    REQUIRE(::pread(fd(), result.data(), result.size(), 0) == static_cast<ssize_t>(result.size()));
    return result;
  }

 private:
  std::FILE* file_;
};

/// A reception on a loopback port with a real spool, and clients on the same loop.
class World {
 public:
  explicit World(conf::Config config = {})
      : config_(std::move(config)), log_(config_.log, file_.fd()) {
    config_.hostname = "relay.example";
    spool::SpoolOptions options;
    options.directory = directory_.spool();
    options.min_free_bytes = 0;
    spool_ = std::move(*spool::Spool::open(options, clock_));
    socket_ = *net::ListeningSocket::bind(*net::SocketAddress::from_ip("127.0.0.1", 0));
    conf::Listener listener;
    listener.allow_networks = {*conf::Network::parse("127.0.0.0/8")};
    reception_ = std::make_unique<Reception>(
        ReceptionContext{loop_, clock_, *spool_, log_, ReceptionSettings::from(config_),
                         std::make_shared<ConnectionCounts>()},
        std::vector{ListenerBinding{socket_, listener}});
  }

  net::EventLoop& loop() { return loop_; }
  Reception& reception() { return *reception_; }
  [[nodiscard]] net::SocketAddress address() const { return *socket_->address(); }
  [[nodiscard]] std::string log() const { return file_.text(); }

  std::vector<spool::Envelope> queue() {
    const auto reader = std::move(*spool::SpoolReader::open(directory_.spool()));
    return *reader->list(std::nullopt, 100);
  }
  std::string content(spool::MessageId id) {
    const auto reader = std::move(*spool::SpoolReader::open(directory_.spool()));
    std::string text;
    for (std::uint32_t n = 0;; ++n) {
      const auto slice = reader->slice(id, n);
      REQUIRE(slice.has_value());
      if (!*slice) {
        return text;
      }
      text += **slice;
    }
  }

 private:
  TemporaryDirectory directory_;
  LogFile file_;
  conf::Config config_;
  Log log_;
  net::SystemClock clock_;
  net::EventLoop loop_;
  std::unique_ptr<spool::Spool> spool_;
  std::shared_ptr<net::ListeningSocket> socket_;
  std::unique_ptr<Reception> reception_;
};

/// Says its lines at once (or, of a large text, as fast as it is taken), reads to the end.
class Client final : public net::Connection::Observer {
 public:
  Client(World& world, std::string lines, std::function<void()> done)
      : lines_(std::move(lines)), done_(std::move(done)) {
    connecting_ =
        net::connect(world.loop(), world.address(), std::nullopt, 5s, [this](auto connection) {
          REQUIRE(connection.has_value());
          connection_ = std::move(*connection);
          connection_->set_observer(this);
          if (!lines_.empty()) {
            connection_->write(lines_);
          }
        });
  }
  virtual ~Client() = default;
  void say(std::string_view lines) { connection_->write(lines); }
  void hang_up() { connection_.reset(); }
  [[nodiscard]] const std::string& heard() const { return heard_; }
  std::function<void()> on_heard;

 private:
  void on_bytes(std::string_view bytes) override {
    heard_ += bytes;
    if (const auto action = on_heard) {
      action();  // may replace on_heard
    }
  }
  void on_drained() override {}
  void on_closed(net::Connection::CloseReason /*reason*/, std::string /*detail*/) override {
    connection_.reset();
    done_();
  }

  std::string lines_;
  std::function<void()> done_;
  std::string heard_;
  net::Operation connecting_;
  std::unique_ptr<net::Connection> connection_;
};

std::string converse(World& world, std::string lines) {
  Client client(world, std::move(lines), [&world] { world.loop().stop(); });
  world.loop().run();
  return client.heard();
}

const std::string kEnvelope =
    "EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<X@D.example> NOTIFY=never\r\n";

}  // namespace

TEST_CASE("a message gets its 250 when it is in the spool, with one Received field in front") {
  World world;
  const auto heard =
      converse(world, kEnvelope + "DATA\r\nSubject: x\r\n\r\n..dot \xe9\r\n.\r\nQUIT\r\n");
  const auto queue = world.queue();
  REQUIRE(queue.size() == 1);
  const auto& envelope = queue.front();
  CHECK(heard.ends_with("250 2.0.0 Ok: queued as " + envelope.id.text() + "\r\n221 2.0.0 Bye\r\n"));
  CHECK(envelope.sender == "a@b.example");
  CHECK(envelope.client_ip == "127.0.0.1");
  CHECK(envelope.client_helo == "client.example");
  CHECK(envelope.eight_bit);
  CHECK(envelope.expires_at - envelope.received_at == 96h);
  REQUIRE(envelope.recipients.size() == 1);
  CHECK(envelope.recipients[0].address == "X@d.example");
  CHECK(envelope.recipients[0].domain == "d.example");
  CHECK(envelope.recipients[0].notify == "NEVER");
  CHECK(envelope.recipients[0].next_try == envelope.received_at);
  const auto content = world.content(envelope.id);
  CHECK(content.size() == envelope.size);
  CHECK(content.starts_with(
      "Received: from client.example ([127.0.0.1])\r\n\tby relay.example with ESMTP id " +
      envelope.id.text() + "\r\n\tfor <X@d.example>;\r\n\t"));
  CHECK(content.ends_with(" +0000\r\nSubject: x\r\n\r\n.dot \xe9\r\n"));
  CHECK(world.log().find("event=accepted id=" + envelope.id.text()) != std::string::npos);
}

TEST_CASE("the first attempt waits for as long as the queue's first wait") {
  conf::Config config;
  config.queue.retry = {std::chrono::minutes(2), std::chrono::minutes(5)};
  World world(config);
  converse(world, kEnvelope + "DATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n");
  const auto queue = world.queue();
  REQUIRE(queue.size() == 1);
  CHECK(queue.front().recipients.at(0).next_try == queue.front().received_at + 2min);
}

TEST_CASE("refused content leaves nothing in the spool and a line in the log") {
  World world;
  const auto heard = converse(
      world, kEnvelope + "DATA\r\nSubject: x\r\n\r\nbare\nlf\r\n.\r\nMAIL FROM:<a@b.example>\r\n");
  CHECK(heard.find("\r\n550 5.5.2 ") != std::string::npos);
  CHECK(world.queue().empty());
  CHECK(world.log().find("event=rejected") != std::string::npos);
  CHECK(world.log().find("stage=content") != std::string::npos);
}

TEST_CASE("a message of many slices arrives whole") {
  World world;
  std::string body;
  while (body.size() < 5'000'000) {
    body += std::to_string(body.size()) + std::string(body.size() % 900, 'x') + "\r\n";
  }
  const auto heard =
      converse(world, kEnvelope + "DATA\r\nSubject: x\r\n\r\n" + body + ".\r\nQUIT\r\n");
  CHECK(heard.ends_with("221 2.0.0 Bye\r\n"));
  const auto queue = world.queue();
  REQUIRE(queue.size() == 1);
  const auto content = world.content(queue.front().id);
  CHECK(content.ends_with("\r\nSubject: x\r\n\r\n" + body));
}

TEST_CASE("two messages and a refused one on a connection, pipelined") {
  World world;
  const std::string one = "MAIL FROM:<>\r\nRCPT TO:<x@d.example>\r\nBDAT 6 LAST\r\nA: b\r\n";
  const auto heard = converse(
      world, "EHLO c\r\n" + one + "MAIL FROM:<>\r\nRCPT TO:<x@d.example>\r\nBDAT 1 LAST\r\n\n" +
                 one + "QUIT\r\n");
  CHECK(world.queue().size() == 2);
  CHECK(heard.find("550 5.5.2") != std::string::npos);
}

TEST_CASE("a client that is silent is told and closed") {
  conf::Config config;
  config.limits.command_timeout = 20ms;
  World world(config);
  CHECK(converse(world, "EHL").ends_with("421 4.4.2 relay.example Timeout\r\n"));
  CHECK(world.reception().sessions() == 0);
}

TEST_CASE("a client over its share of connections is turned away, and the share comes back") {
  conf::Config config;
  config.limits.connections_per_client = 1;
  World world(config);
  Client first(world, "", [&world] { world.loop().stop(); });
  std::string second_heard;
  std::unique_ptr<Client> second;
  first.on_heard = [&] {
    second = std::make_unique<Client>(world, "", [&] {
      second_heard = second->heard();
      first.say("QUIT\r\n");
    });
    first.on_heard = nullptr;
  };
  world.loop().run();
  CHECK(second_heard.starts_with("421 4.7.0 relay.example Too many connections"));
  CHECK(world.log().find("reason=limits.connections_per_client") != std::string::npos);
  CHECK(converse(world, "QUIT\r\n").find("221 ") != std::string::npos);
}

TEST_CASE("a client that hangs up in its content leaves nothing behind") {
  World world;
  Client client(world, kEnvelope + "DATA\r\n", [] {});
  client.on_heard = [&] {
    if (client.heard().find("354") != std::string::npos) {
      client.say("Subject: x\r\n\r\n" + std::string(1000, 'x'));
      world.loop().post([&] {
        client.hang_up();
        world.reception().drain([&] { world.loop().stop(); });
      });
      client.on_heard = nullptr;
    }
  };
  world.loop().run();
  CHECK(world.reception().sessions() == 0);
  CHECK(world.queue().empty());
}

TEST_CASE("drain ends idle sessions, lets an open message finish, and then reports once") {
  World world;
  int drained = 0;
  Client idle(world, "EHLO c\r\n", [] {});
  Client busy(world, kEnvelope + "DATA\r\n", [] {});
  busy.on_heard = [&] {
    if (busy.heard().find("354") == std::string::npos || drained != 0 || idle.heard().empty()) {
      return;
    }
    busy.on_heard = nullptr;
    world.reception().drain([&] {
      ++drained;
      world.loop().stop();
    });
    CHECK(drained == 0);
    busy.say("Subject: x\r\n\r\nx\r\n.\r\nNOOP\r\n");
  };
  idle.on_heard = [&] {
    if (const auto action = busy.on_heard) {
      action();
    }
  };
  world.loop().run();
  CHECK(drained == 1);
  CHECK(world.queue().size() == 1);
}
