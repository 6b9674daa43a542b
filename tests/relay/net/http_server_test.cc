#include "relay/net/http_server.h"

#include <string>
#include <thread>
#include <vector>

#include <doctest/doctest.h>

#include "loop_fixture.h"

namespace relay::net {
namespace {

/// What a client that sends these octets gets, and the paths that the handler was asked for.
struct Visit {
  explicit Visit(const std::string& request, HttpAnswer answer = {}) {
    EventLoop loop;
    const auto socket = ListeningSocket::bind(*SocketAddress::from_ip("127.0.0.1", 0));
    REQUIRE(socket);
    const HttpServer server(loop, **socket, [&](const std::string& path) {
      paths.push_back(path);
      return answer;
    });
    auto connection = support::open_connection(loop, *(*socket)->address());
    support::Recorder observer;
    observer.stream_closed = [&] { loop.stop(); };
    connection->set_observer(&observer);
    connection->write(request);
    support::run(loop);
    reply = observer.received;
    connection.reset();
    support::settle(loop);
  }
  std::string reply;
  std::vector<std::string> paths;
};

bool reply_has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("a request gets the handler's status, type and body") {
  const Visit visit("GET /ready?verbose HTTP/1.0\r\n\r\n", {503, "text/plain", "not yet\n"});
  CHECK(visit.paths == std::vector<std::string>{"/ready"});
  CHECK(visit.reply.starts_with("HTTP/1.0 503 "));
  CHECK(reply_has(visit.reply, "Content-Type: text/plain\r\n"));
  CHECK(visit.reply.ends_with("\r\n\r\nnot yet\n"));
}

TEST_CASE("HEAD gets the fields without the body") {
  const Visit visit("HEAD /live HTTP/1.0\r\n\r\n", {200, "text/plain", "live\n"});
  CHECK(visit.reply.starts_with("HTTP/1.0 200 "));
  CHECK(reply_has(visit.reply, "Content-Length: 5\r\n"));
  CHECK(visit.reply.ends_with("\r\n\r\n"));
}

TEST_CASE("other methods, bodies and endless headers never reach the handler") {
  const std::string endless = "GET / HTTP/1.0\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n";
  for (const std::string& request :
       {std::string("DELETE / HTTP/1.0\r\n\r\n"),
        std::string("POST / HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc"), endless}) {
    CAPTURE(request);
    const Visit visit(request);
    CHECK(visit.paths.empty());
    CHECK_FALSE(reply_has(visit.reply, " 200 "));
  }
}

}  // namespace
}  // namespace relay::net
