#include "relay/control/control_server.h"

#include <map>
#include <string>
#include <utility>

#include "relay/net/connection.h"

namespace relay::control {

/// One connection: lines in, answers out, one after the other.
class ControlServer::Client final : public net::Connection::Observer,
                                    public std::enable_shared_from_this<Client> {
 public:
  Client(State& server, std::uint64_t key, std::unique_ptr<net::Connection> connection);
  ~Client() = default;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  Client(Client&&) = delete;
  Client& operator=(Client&&) = delete;

  void start();
  void on_bytes(std::string_view bytes) override;
  void on_drained() override;
  void on_closed(net::Connection::CloseReason reason, std::string detail) override;

 private:
  enum class Phase { reading, executing, answering };

  void proceed();
  void execute(const std::string& line);
  void answer(const Response& response);
  /// Destroys this as its last act.
  void leave();
  /// As leave(), once the answer is out.
  void leave_with(const Response& response);

  State& server_;
  std::uint64_t key_;
  std::unique_ptr<net::Connection> connection_;
  net::Timer patience_;
  LineBuffer lines_{kMaxRequestLine};
  Phase phase_ = Phase::reading;
};

struct ControlServer::State {
  State(net::EventLoop& event_loop, std::shared_ptr<net::ListeningSocket> socket,
        Handler request_handler, const ControlServerOptions& limits)
      : loop(event_loop),
        handler(std::move(request_handler)),
        options(limits),
        acceptor(
            event_loop, std::move(socket),
            [this](std::unique_ptr<net::Connection> connection) { admit(std::move(connection)); }) {
  }

  void admit(std::unique_ptr<net::Connection> connection) {
    if (clients.size() >= options.clients) {
      connection->write(to_line(Response{{}, "too many control clients; try again later"}));
      net::Connection::close_gracefully(std::move(connection));
      return;
    }
    const std::uint64_t key = next_key++;
    const auto client = std::make_shared<Client>(*this, key, std::move(connection));
    clients.emplace(key, client);
    client->start();
  }

  net::EventLoop& loop;
  Handler handler;
  ControlServerOptions options;
  std::uint64_t next_key = 0;
  std::map<std::uint64_t, std::shared_ptr<Client>> clients;
  net::Acceptor acceptor;
};

ControlServer::Client::Client(State& server, std::uint64_t key,
                              std::unique_ptr<net::Connection> connection)
    : server_(server),
      key_(key),
      connection_(std::move(connection)),
      patience_(server.loop, [this] { leave(); }) {}

void ControlServer::Client::start() {
  connection_->set_observer(this);
  patience_.start(server_.options.patience);
}

void ControlServer::Client::on_bytes(std::string_view bytes) {
  lines_.receive(bytes);
  if (phase_ == Phase::reading) {
    proceed();
  } else if (lines_.size() > kMaxRequestLine) {
    connection_->pause_reading();
  }
}

void ControlServer::Client::on_drained() {
  if (phase_ == Phase::answering) {
    phase_ = Phase::reading;
    patience_.start(server_.options.patience);
    connection_->resume_reading();
    proceed();
  }
}

void ControlServer::Client::on_closed(net::Connection::CloseReason /*reason*/,
                                      std::string /*detail*/) {
  leave();
}

void ControlServer::Client::proceed() {
  if (lines_.overflowed()) {
    leave_with({{}, "the request is longer than 64 KiB"});
    return;
  }
  if (const auto line = lines_.next()) {
    execute(*line);
  }
}

void ControlServer::Client::execute(const std::string& line) {
  phase_ = Phase::executing;
  // The time that the daemon itself takes is not the client's.
  patience_.stop();
  auto request = parse_request(line);
  if (!request) {
    answer({{}, request.error()});
    return;
  }
  sign(*request, connection_->peer_uid());
  server_.handler(*request, [weak = weak_from_this()](const Response& response) {
    if (const auto client = weak.lock()) {
      client->answer(response);
    }
  });
}

void ControlServer::Client::answer(const Response& response) {
  if (phase_ != Phase::executing) {
    return;
  }
  phase_ = Phase::answering;
  patience_.start(server_.options.patience);
  connection_->write(to_line(response));
}

void ControlServer::Client::leave() {
  // Kept to the end of the call: the map holds the last reference otherwise.
  const auto self = shared_from_this();
  server_.clients.erase(key_);
}

void ControlServer::Client::leave_with(const Response& response) {
  connection_->write(to_line(response));
  net::Connection::close_gracefully(std::move(connection_));
  leave();
}

ControlServer::ControlServer(net::EventLoop& loop, std::shared_ptr<net::ListeningSocket> socket,
                             Handler handler, const ControlServerOptions& options)
    : state_(std::make_unique<State>(loop, std::move(socket), std::move(handler), options)) {}

ControlServer::~ControlServer() = default;

}  // namespace relay::control
