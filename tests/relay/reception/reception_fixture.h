// What the tests of Reception share: a reception with a real spool, and clients on its loop.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "relay/reception/reception.h"
#include "relay/spool/spool_reader.h"

namespace relay::reception::testing {

using namespace std::chrono_literals;

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

/// A listener that adds no Date and Message-ID.
inline ListenerSettings unchanging() {
  ListenerSettings listener;
  listener.rules.add_missing_headers = false;
  return listener;
}

/// A reception on a loopback port with a real spool, and clients on the same loop.
class World {
 public:
  explicit World(conf::Config config = {}, ListenerSettings listener = {})
      : config_(std::move(config)), log_(config_.log, file_.fd()) {
    config_.hostname = "relay.example";
    spool::SpoolOptions options;
    options.directory = directory_.spool();
    options.min_free_bytes = 0;
    spool_ = std::move(*spool::Spool::open(options, clock_));
    clients_ = std::make_unique<Clients>(Clients::Parts{loop_, clock_, *spool_, log_},
                                         std::vector<spool::ClientHold>{});
    socket_ = *net::ListeningSocket::bind(*net::SocketAddress::from_ip("127.0.0.1", 0));
    listener.rules.allow_networks = {*conf::Network::parse("127.0.0.0/8")};
    reception_ = std::make_unique<Reception>(
        ReceptionContext{loop_, clock_, *spool_, log_, passwords_, throttle_,
                         ReceptionSettings::from(config_, {listener.files}), connections_,
                         *clients_},
        std::vector{ListenerBinding{socket_, listener}});
  }

  net::EventLoop& loop() { return loop_; }
  Reception& reception() { return *reception_; }
  [[nodiscard]] net::SocketAddress address() const { return *socket_->address(); }
  [[nodiscard]] std::string log() const { return file_.text(); }
  ConnectionCounts& connections() { return *connections_; }
  Clients& clients() { return *clients_; }

  std::vector<spool::Envelope> queue() {
    const auto reader = std::move(*spool::SpoolReader::open(directory_.spool()));
    return *reader->list(std::nullopt, 100);
  }
  std::vector<spool::ClientHold> stored_holds() {
    return *std::move(*spool::SpoolReader::open(directory_.spool()))->client_holds();
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
  PasswordChecker passwords_;
  AuthThrottle throttle_;
  std::unique_ptr<spool::Spool> spool_;
  std::shared_ptr<net::ListeningSocket> socket_;
  std::shared_ptr<ConnectionCounts> connections_ = std::make_shared<ConnectionCounts>();
  std::unique_ptr<Clients> clients_;
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

inline std::string converse(World& world, std::string lines) {
  Client client(world, std::move(lines), [&world] { world.loop().stop(); });
  world.loop().run();
  return client.heard();
}

inline const std::string kEnvelope =
    "EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<X@D.example> NOTIFY=never\r\n";

}  // namespace relay::reception::testing
