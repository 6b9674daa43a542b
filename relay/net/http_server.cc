#include "relay/net/http_server.h"

#include <chrono>
#include <fcntl.h>
#include <new>
#include <string>
#include <utility>

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/listener.h>

#include "relay/net/handles.h"

namespace relay::net {
namespace {

constexpr int kTimeoutSeconds = 10;
constexpr ev_ssize_t kMaxHeader = 8 << 10;
/// Before connections are accepted again when no descriptor was left.
constexpr std::chrono::seconds kExhaustedPause{1};

struct FreeServer {
  void operator()(evhttp* server) const { evhttp_free(server); }
};

struct FreeEvbuffer {
  void operator()(evbuffer* buffer) const { evbuffer_free(buffer); }
};

std::string path_of(const evhttp_request* request) {
  const evhttp_uri* const uri = evhttp_request_get_evhttp_uri(request);
  const char* const path = uri == nullptr ? nullptr : evhttp_uri_get_path(uri);
  return path == nullptr ? "" : path;
}

}  // namespace

struct HttpServer::State {
  State(EventLoop& loop, const ListeningSocket& socket, Handler answer)
      : handler(std::move(answer)),
        pause(loop, [this] { resume(); }),
        server(evhttp_new(loop.base())) {
    // The server closes its copy.
    Descriptor copy(::fcntl(socket.fd(), F_DUPFD_CLOEXEC, 0));
    evhttp_bound_socket* const bound =
        server ? evhttp_accept_socket_with_handle(server.get(), copy.get()) : nullptr;
    if (bound == nullptr) {
      throw std::bad_alloc();
    }
    copy.release();
    listener = evhttp_bound_socket_get_listener(bound);
    evconnlistener_set_error_cb(listener, &State::on_exhausted);
    evhttp_set_allowed_methods(server.get(), EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_max_headers_size(server.get(), kMaxHeader);
    evhttp_set_max_body_size(server.get(), 0);
    evhttp_set_timeout(server.get(), kTimeoutSeconds);
    evhttp_set_gencb(server.get(), &State::on_request, this);
    pause.start(kExhaustedPause);
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  State(State&&) = delete;
  State& operator=(State&&) = delete;
  ~State() = default;

  static void on_request(evhttp_request* request, void* self) noexcept {
    const HttpAnswer answer = static_cast<State*>(self)->handler(path_of(request));
    const std::unique_ptr<evbuffer, FreeEvbuffer> body(evbuffer_new());
    if (!body || evbuffer_add(body.get(), answer.body.data(), answer.body.size()) != 0) {
      evhttp_send_error(request, HTTP_INTERNAL, nullptr);
      return;
    }
    evkeyvalq* const fields = evhttp_request_get_output_headers(request);
    evhttp_add_header(fields, "Content-Type", answer.content_type.c_str());
    evhttp_add_header(fields, "Cache-Control", "no-store");
    const bool head = evhttp_request_get_command(request) == EVHTTP_REQ_HEAD;
    if (head) {  // whose body libevent would send
      evhttp_add_header(fields, "Content-Length", std::to_string(answer.body.size()).c_str());
    }
    evhttp_send_reply(request, answer.status, nullptr, head ? nullptr : body.get());
  }

  // What libevent hands over here leads to no State: a timer, not this, ends the pause.
  static void on_exhausted(evconnlistener* listener, void* /*server*/) noexcept {
    evconnlistener_disable(listener);
  }

  void resume() {
    evconnlistener_enable(listener);
    pause.start(kExhaustedPause);
  }

  Handler handler;
  Timer pause;
  std::unique_ptr<evhttp, FreeServer> server;
  evconnlistener* listener = nullptr;  // the server's
};

HttpServer::HttpServer(EventLoop& loop, const ListeningSocket& socket, Handler handler)
    : state_(std::make_unique<State>(loop, socket, std::move(handler))) {}
HttpServer::~HttpServer() = default;

}  // namespace relay::net
