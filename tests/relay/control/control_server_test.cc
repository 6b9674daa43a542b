#include "relay/control/control_server.h"

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tests/relay/net/loop_fixture.h"
#include "tests/relay/spool/fixture.h"

namespace {

using namespace relay::control;
using relay::spool::testing::LoopThread;
using relay::spool::testing::TemporaryDirectory;
using support::PeerSocket;

using Respond = std::function<void(Response)>;

/// A server on a loop of its own; the test is its blocking client.
class Subject {
 public:
  explicit Subject(ControlServer::Handler handler, const ControlServerOptions& options = {}) {
    std::filesystem::create_directories(directory_.spool());
    on_loop([&] {
      auto socket = relay::net::ListeningSocket::bind_unix(path(), 0600);
      REQUIRE(socket);
      server_ =
          std::make_unique<ControlServer>(thread_.loop(), *socket, std::move(handler), options);
    });
  }
  ~Subject() { shut_down(); }
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  void shut_down() {
    on_loop([this] { server_.reset(); });
  }
  void on_loop(const std::function<void()>& action) {
    thread_.ask<bool>([&](const std::function<void(bool)>& done) {
      action();
      done(true);
    });
  }
  [[nodiscard]] std::string path() const { return directory_.spool() + "/control.sock"; }
  [[nodiscard]] std::unique_ptr<PeerSocket> connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::string name = path();
    REQUIRE(name.size() < sizeof address.sun_path);
    name.copy(address.sun_path, name.size());
    auto socket = std::make_unique<PeerSocket>(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::connect(socket->fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
            0);
    return socket;
  }

 private:
  TemporaryDirectory directory_;
  LoopThread thread_;
  std::unique_ptr<ControlServer> server_;
};

std::string read_line(const PeerSocket& socket) {
  std::string line;
  while (!line.ends_with('\n')) {
    const std::string part = socket.read_some();
    if (part.empty()) {
      break;
    }
    line += part;
  }
  return line;
}

const std::string kStatus = "{\"command\":\"status\"}\n";
const std::string kReload = "{\"command\":\"reload\"}\n";
const std::string kDone = "{\"ok\":true,\"data\":{}}\n";

void respond_at_once(const Request& /*request*/, const Respond& respond) {
  respond({});
}

TEST_CASE("a request is answered with one line, again and again") {
  Subject subject(respond_at_once);
  const auto client = subject.connect();
  for (int i = 0; i < 3; ++i) {
    client->send(kStatus);
    CHECK(read_line(*client) == kDone);
  }
}

TEST_CASE("the socket belongs to its owner only") {
  Subject subject(respond_at_once);
  struct stat status {};
  REQUIRE(::stat(subject.path().c_str(), &status) == 0);
  CHECK((status.st_mode & 0777U) == 0600U);
}

TEST_CASE("requests that arrive byte by byte, or all at once, are answered in order") {
  Subject subject([](const Request& request, const Respond& respond) {
    respond({std::holds_alternative<Status>(request) ? "1" : "2", {}});
  });
  const std::string expected =
      "{\"ok\":true,\"data\":1}\n{\"ok\":true,\"data\":2}\n{\"ok\":true,\"data\":1}\n";
  const std::string requests = kStatus + kReload + kStatus;
  const auto whole = subject.connect();
  whole->send(requests);
  const auto pieces = subject.connect();
  for (const char c : requests) {
    pieces->send({&c, 1});
  }
  for (const auto& client : {whole.get(), pieces.get()}) {
    std::string answers;
    while (answers.size() < expected.size()) {
      answers += read_line(*client);
    }
    CHECK(answers == expected);
  }
}

TEST_CASE("who asks for what is recorded is known by the socket") {
  Request seen = Status{};
  Subject subject([&seen](const Request& request, const Respond& respond) {
    seen = request;
    respond({});
  });
  const auto client = subject.connect();
  client->send("{\"command\":\"override remove\",\"domain\":\"a.example\"}\n");
  CHECK(read_line(*client) == kDone);
  CHECK(std::get<OverrideRemove>(seen).by == "uid:" + std::to_string(::getuid()));
}

TEST_CASE("what is no request is refused, and the client may go on") {
  Subject subject(respond_at_once);
  const auto client = subject.connect();
  client->send("GET / HTTP/1.1\r\n");
  CHECK(read_line(*client).find("{\"ok\":false,\"error\":\"a request is one JSON object") == 0);
  client->send(kStatus);
  CHECK(read_line(*client) == kDone);
}

TEST_CASE("a line over 64 KiB ends the conversation") {
  Subject subject(respond_at_once);
  const auto client = subject.connect();
  client->send(std::string(kMaxRequestLine + 1, 'x'));
  CHECK(client->read_to_end().find("longer than 64 KiB") != std::string::npos);
}

TEST_CASE("an answer may come later, and other clients do not wait for it") {
  Respond kept;
  Subject subject([&kept](const Request& request, Respond respond) {
    if (std::holds_alternative<Reload>(request)) {
      kept = std::move(respond);
    } else {
      respond({});
    }
  });
  const auto waiting = subject.connect();
  waiting->send(kReload);
  const auto other = subject.connect();
  other->send(kStatus);
  CHECK(read_line(*other) == kDone);
  subject.on_loop([&kept] {
    REQUIRE(kept);
    kept({"7", {}});
    kept({"8", {}});  // one response per request: this one is dropped
  });
  CHECK(read_line(*waiting) == "{\"ok\":true,\"data\":7}\n");
  waiting->send(kStatus);
  CHECK(read_line(*waiting) == kDone);
}

TEST_CASE("an answer for a client that has gone, or after the server has, goes nowhere") {
  std::vector<Respond> kept;
  std::atomic<int> asked{0};
  Subject subject([&](const Request& /*request*/, Respond respond) {
    kept.push_back(std::move(respond));
    ++asked;
  });
  const auto gone = subject.connect();
  gone->send(kStatus);
  const auto staying = subject.connect();
  staying->send(kStatus);
  while (asked < 2) {
    subject.on_loop([] {});
  }
  gone->close();
  subject.on_loop([&kept] { kept.at(0)({}); });
  subject.shut_down();
  subject.on_loop([&kept] { kept.at(1)({}); });
  CHECK(staying->read_to_end().empty());
}

TEST_CASE("a client that does not take its long answer holds up nobody and loses nothing") {
  const std::string text = "\"" + std::string(8U << 20, 'x') + "\"";
  Subject subject([&text](const Request& request, const Respond& respond) {
    respond({std::holds_alternative<Reload>(request) ? text : "{}", {}});
  });
  const auto slow = subject.connect();
  slow->send(kReload + kStatus);
  const auto other = subject.connect();
  other->send(kStatus);
  CHECK(read_line(*other) == kDone);
  const std::string expected = "{\"ok\":true,\"data\":" + text + "}\n" + kDone;
  std::string answers;
  while (answers.size() < expected.size()) {
    const std::string part = slow->read_some();
    REQUIRE_FALSE(part.empty());
    answers += part;
  }
  CHECK((answers == expected));
}

TEST_CASE("a client that asks nothing, or does not take its answer, is cut off in time") {
  ControlServerOptions options;
  options.patience = std::chrono::milliseconds(50);
  const std::string text = "\"" + std::string(8U << 20, 'x') + "\"";
  Subject subject(
      [&text](const Request& /*request*/, const Respond& respond) {
        respond({text, {}});
      },
      options);
  const auto silent = subject.connect();
  CHECK(silent->read_to_end().empty());
  const auto unread = subject.connect();
  unread->send(kStatus);
  const auto later = subject.connect();  // its own end proves that the patience has passed
  CHECK(later->read_to_end().empty());
  CHECK(unread->read_to_end().size() < text.size());
}

TEST_CASE("clients over the limit are turned away with a reason") {
  ControlServerOptions options;
  options.clients = 1;
  Subject subject(respond_at_once, options);
  auto first = subject.connect();
  first->send(kStatus);
  CHECK(read_line(*first) == kDone);
  const auto second = subject.connect();
  CHECK(second->read_to_end().find("too many control clients") != std::string::npos);
  first->send(kStatus);
  CHECK(read_line(*first) == kDone);
}

}  // namespace
