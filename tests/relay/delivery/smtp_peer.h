// What the tests of the delivery drivers share: an SMTP server that says what a test wants, a
// stored message, and a loop that runs until something is so.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "relay/delivery/connection_pool.h"
#include "relay/delivery/conversation.h"
#include "relay/log.h"
#include "relay/net/connection.h"
#include "relay/net/listener.h"
#include "tests/relay/net/loop_fixture.h"
#include "tests/relay/spool/fixture.h"
#include "tests/support/manual_clock.h"

namespace support {

/// Runs loop until condition holds; it is looked at after every few events.
inline void run_until(relay::net::EventLoop& loop, const std::function<bool()>& condition) {
  std::unique_ptr<relay::net::Timer> look;
  look = std::make_unique<relay::net::Timer>(loop, [&] {
    if (condition()) {
      loop.stop();
    } else {
      look->start(std::chrono::milliseconds(1));
    }
  });
  look->start(std::chrono::milliseconds(0));
  run(loop);
}

/// Listens on loopback, belongs to one loop. Says the usual unless replies names something else for
/// a verb ("" is the greeting, "." the end of the content); an empty reply is silence.
class SmtpPeer {
 public:
  explicit SmtpPeer(relay::net::EventLoop& loop)
      : socket_(*relay::net::ListeningSocket::bind(
            *relay::net::SocketAddress::from_ip("127.0.0.1", 0))),
        acceptor_(loop, socket_, [this](std::unique_ptr<relay::net::Connection> connection) {
          sessions_.push_back(std::make_unique<Session>(*this, std::move(connection)));
        }) {}

  [[nodiscard]] relay::net::SocketAddress address() const { return *socket_->address(); }
  [[nodiscard]] std::size_t connections() const { return sessions_.size(); }
  /// What the n-th connection said, without the content: "EHLO …", "MAIL …", ".", then "closed".
  [[nodiscard]] const std::vector<std::string>& said(std::size_t n) const {
    return sessions_.at(n)->said;
  }
  [[nodiscard]] bool has_said(std::size_t n, const std::string& verb) const {
    const auto& lines = said(n);
    return std::any_of(lines.begin(), lines.end(),
                       [&](const std::string& line) { return line.starts_with(verb); });
  }
  [[nodiscard]] int messages() const { return messages_; }
  /// Says a line to the n-th connection.
  void say(std::size_t n, const std::string& line) { sessions_.at(n)->say(line); }

  std::map<std::string, std::string> replies{
      {"", "220 peer.example"}, {"EHLO", "250-peer.example\r\n250 PIPELINING"},
      {"MAIL", "250 ok"},       {"RCPT", "250 ok"},
      {"RSET", "250 ok"},       {"DATA", "354 go on"},
      {".", "250 2.0.0 taken"}, {"QUIT", "221 bye"}};

 private:
  struct Session final : relay::net::Connection::Observer {
    using CloseReason = relay::net::Connection::CloseReason;
    Session(SmtpPeer& its_peer, std::unique_ptr<relay::net::Connection> its_connection)
        : peer(its_peer), connection(std::move(its_connection)) {
      connection->set_observer(this);
      say(peer.replies.at(""));
    }
    void say(const std::string& line) {
      in_content = in_content || line.starts_with("354");
      if (connection && !line.empty()) {
        connection->write(line + "\r\n");
      }
    }
    void on_bytes(std::string_view bytes) override {
      input.append(bytes);
      for (auto end = input.find("\r\n"); end != std::string::npos; end = input.find("\r\n")) {
        const std::string line = input.substr(0, end);
        input.erase(0, end + 2);
        obey(line);
      }
    }
    void on_drained() override {}
    void on_closed(CloseReason /*reason*/, std::string /*detail*/) override {
      said.emplace_back("closed");
      connection.reset();
    }
    void obey(const std::string& line) {
      if (in_content && line != ".") {
        return;
      }
      said.push_back(line);
      const std::string verb = line.substr(0, line.find(' '));
      peer.messages_ += verb == "." ? 1 : 0;
      in_content = false;
      say(peer.replies.contains(verb) ? peer.replies.at(verb) : "500 what");
    }

    SmtpPeer& peer;
    std::unique_ptr<relay::net::Connection> connection;
    std::string input;
    bool in_content = false;
    std::vector<std::string> said;
  };

  std::shared_ptr<relay::net::ListeningSocket> socket_;
  relay::net::Acceptor acceptor_;
  std::deque<std::unique_ptr<Session>> sessions_;
  int messages_ = 0;
};

/// A log that can be read.
class MemoryLog {
 public:
  ~MemoryLog() { ::close(fd_); }
  MemoryLog() = default;
  MemoryLog(const MemoryLog&) = delete;
  MemoryLog& operator=(const MemoryLog&) = delete;
  relay::Log& log() { return log_; }
  [[nodiscard]] std::string text() const {
    std::string text(static_cast<std::size_t>(::lseek(fd_, 0, SEEK_END)), '\0');
    REQUIRE(::pread(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    return text;
  }
  [[nodiscard]] int count(const std::string& words) const {
    int found = 0;
    const std::string all = text();
    for (auto at = all.find(words); at != std::string::npos; at = all.find(words, at + 1)) {
      ++found;
    }
    return found;
  }

 private:
  int fd_ = ::memfd_create("log", MFD_CLOEXEC);
  relay::Log log_{conf::Logging{}, fd_};
};

/// A spool with one message in it, and all that conversations need; one loop.
struct DeliveryWorld {
  explicit DeliveryWorld(const relay::spool::SpoolOptions& options = {})
      : spool(relay::spool::testing::open_spool(
            options.directory.empty() ? relay::spool::testing::options_for(directory.spool())
                                      : options,
            clock)),
        reader(relay::spool::testing::open_reader(options.directory.empty() ? directory.spool()
                                                                            : options.directory)),
        tls(*relay::net::TlsClientContext::create("")) {
    settings.helo_name = "relay.example";
  }
  DeliveryWorld(const DeliveryWorld&) = delete;
  DeliveryWorld& operator=(const DeliveryWorld&) = delete;
  ~DeliveryWorld() { settle(loop); }

  /// Stores a message to one recipient per domain.
  relay::spool::Envelope store(const std::vector<std::string>& domains, std::size_t size = 500) {
    return store(relay::spool::testing::envelope_to(domains), size);
  }
  relay::spool::Envelope store(relay::spool::Envelope envelope, std::size_t size = 500) {
    envelope.received_at = clock.wall();
    envelope.expires_at = clock.wall() + std::chrono::hours(96);
    envelope.size = size;
    for (auto& recipient : envelope.recipients) {
      recipient.next_try = clock.wall();
    }
    bool done = false;
    relay::spool::testing::store_on_loop(
        *spool, loop, envelope, size,
        [&](relay::spool::MessageId id, const relay::spool::Stored<void>& result) {
          REQUIRE(result);
          envelope.id = id;
          done = true;
        });
    run_until(loop, [&] { return done; });
    return envelope;
  }

  relay::delivery::ConversationTarget target(const std::string& destination = "there") const {
    return {std::nullopt, peer.address(), relay::smtp::TlsRequirement::opportunistic(), destination,
            conversations.generation};
  }
  static relay::delivery::MessageJob job(const relay::spool::Envelope& envelope) {
    relay::delivery::MessageJob job{envelope.id, {}};
    job.transaction.sender = envelope.sender;
    for (const auto& recipient : envelope.recipients) {
      job.transaction.recipients.push_back({recipient.address, {}, {}});
    }
    return job;
  }

  relay::spool::testing::TemporaryDirectory directory;
  ManualClock clock;
  relay::net::EventLoop loop;
  MemoryLog log;
  std::unique_ptr<relay::spool::Spool> spool;
  std::unique_ptr<relay::spool::SpoolReader> reader;
  std::shared_ptr<relay::net::TlsClientContext> tls;
  relay::net::TlsSessionCache tickets{100};
  relay::delivery::ConversationCount count;
  relay::delivery::ConversationContext conversations{loop, clock, tls, tickets, *reader, count};
  relay::smtp::ClientSettings settings;
  SmtpPeer peer{loop};
};

}  // namespace support
