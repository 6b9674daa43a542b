#include "relay/net/https_client.h"

#include <list>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <curl/curl.h>
#include <event2/event.h>

#include "relay/net/call_queue.h"
#include "relay/net/handles.h"
#include "relay/net/https_transfer.h"

namespace relay::net {
namespace {

void check(CURLMcode code) {
  if (code != CURLM_OK) {
    throw std::runtime_error(curl_multi_strerror(code));
  }
}

CURLM* new_multi() {
  static std::once_flag prepared;
  std::call_once(prepared, [] {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
      throw std::runtime_error("libcurl cannot start");
    }
  });
  CURLM* multi = curl_multi_init();
  if (multi == nullptr) {
    throw std::bad_alloc();
  }
  return multi;
}

/// A multi handle and what drives it. libcurl's callbacks only arm and disarm events, and callers
/// are called from the call queue: so nothing is ever done to libcurl from within libcurl.
/// It keeps the trust anchors that its first transfer read from the file.
class CurlDriver : public std::enable_shared_from_this<CurlDriver> {
 public:
  using Complete = void (*)(CURL* easy, CURLcode code);

  CurlDriver(EventLoop& loop, Complete complete);
  CurlDriver(const CurlDriver&) = delete;
  CurlDriver& operator=(const CurlDriver&) = delete;
  CurlDriver(CurlDriver&&) = delete;
  CurlDriver& operator=(CurlDriver&&) = delete;
  ~CurlDriver() { curl_multi_cleanup(multi_); }

  void add(CURL* easy) { check(curl_multi_add_handle(multi_, easy)); }
  void remove(CURL* easy) {
    curl_multi_remove_handle(multi_, easy);
    bereft_.erase(easy);
  }

 private:
  static int on_watch(CURL* easy, curl_socket_t fd, int what, void* self, void* unused) noexcept;
  static int on_timer(CURLM* multi, long delay, void* self) noexcept;
  // NOLINTNEXTLINE(bugprone-exception-escape): what escapes is a bug and ends the process
  static void on_ready(evutil_socket_t fd, short what, void* self) noexcept;

  void watch(CURL* easy, curl_socket_t fd, int what);
  void act(curl_socket_t fd, int mask);
  void resume_bereft();

  EventLoop& loop_;
  Complete complete_;
  CURLM* multi_;
  std::unordered_map<curl_socket_t, EventHandle> watched_;
  std::unordered_set<CURL*> bereft_;  // of a socket, in the course of act()
  Timer timer_;
};

CurlDriver::CurlDriver(EventLoop& loop, Complete complete)
    : loop_(loop),
      complete_(complete),
      multi_(new_multi()),
      timer_(loop, [this] { act(CURL_SOCKET_TIMEOUT, 0); }) {
  check(curl_multi_setopt(multi_, CURLMOPT_SOCKETFUNCTION, &CurlDriver::on_watch));
  check(curl_multi_setopt(multi_, CURLMOPT_SOCKETDATA, this));
  check(curl_multi_setopt(multi_, CURLMOPT_TIMERFUNCTION, &CurlDriver::on_timer));
  check(curl_multi_setopt(multi_, CURLMOPT_TIMERDATA, this));
}

int CurlDriver::on_watch(CURL* easy, curl_socket_t fd, int what, void* self,
                         void* /*unused*/) noexcept {
  static_cast<CurlDriver*>(self)->watch(easy, fd, what);
  return 0;
}

int CurlDriver::on_timer(CURLM* /*multi*/, long delay, void* self) noexcept {
  auto& driver = *static_cast<CurlDriver*>(self);
  if (delay < 0) {
    driver.timer_.stop();
  } else {
    driver.timer_.start(std::chrono::milliseconds(delay));
  }
  return 0;
}

// NOLINTNEXTLINE(bugprone-exception-escape): what escapes is a bug and ends the process
void CurlDriver::on_ready(evutil_socket_t fd, short what, void* self) noexcept {
  const int readable = (what & EV_READ) != 0 ? CURL_CSELECT_IN : 0;
  const int writable = (what & EV_WRITE) != 0 ? CURL_CSELECT_OUT : 0;
  static_cast<CurlDriver*>(self)->act(fd, readable | writable);
}

void CurlDriver::watch(CURL* easy, curl_socket_t fd, int what) {
  watched_.erase(fd);
  if (what == CURL_POLL_REMOVE) {
    bereft_.insert(easy);
    return;
  }
  const int events = EV_PERSIST | ((what & CURL_POLL_IN) != 0 ? EV_READ : 0) |
                     ((what & CURL_POLL_OUT) != 0 ? EV_WRITE : 0);
  EventHandle handle(
      event_new(loop_.base(), fd, static_cast<short>(events), &CurlDriver::on_ready, this));
  if (!handle || event_add(handle.get(), nullptr) != 0) {
    throw std::bad_alloc();
  }
  watched_.emplace(fd, std::move(handle));
}

void CurlDriver::act(curl_socket_t fd, int mask) {
  const auto alive = shared_from_this();  // its last transfer may be done
  int running = 0;
  check(curl_multi_socket_action(multi_, fd, mask, &running));
  int left = 0;
  while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg == CURLMSG_DONE) {
      complete_(message->easy_handle, message->data.result);
    }
  }
  resume_bereft();
}

/// libcurl 7.88 closes the socket of an address that was refused and turns to the next address
/// when it is run again, which with no socket to watch only half of the time for connecting would
/// make it: a transfer that is let go on is run at once.
void CurlDriver::resume_bereft() {
  for (CURL* easy : std::exchange(bereft_, {})) {
    curl_easy_pause(easy, CURLPAUSE_SEND);
    curl_easy_pause(easy, CURLPAUSE_CONT);
  }
}

}  // namespace

struct HttpsClient::State {
  class Request;

  State(EventLoop& event_loop, HttpsClientOptions given);
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  State(State&&) = delete;
  State& operator=(State&&) = delete;
  ~State();

  static void on_complete(CURL* easy, CURLcode code);
  [[nodiscard]] std::shared_ptr<CurlDriver> new_driver() const {
    return std::make_shared<CurlDriver>(loop, &State::on_complete);
  }

  EventLoop& loop;
  HttpsClientOptions options;
  std::shared_ptr<CurlDriver> driver;  // of the requests to come; each keeps its own
  std::list<Request*> all;
  CallQueue calls;
};

/// One caller's request: with libcurl, then waiting for its turn in the call queue.
class HttpsClient::State::Request final : public Operation::Task {
 public:
  Request(State& state, Callback done)
      : state_(&state),
        done_(std::move(done)),
        registered_(state.all.insert(state.all.end(), this)) {}
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;
  Request(Request&&) = delete;
  Request& operator=(Request&&) = delete;

  ~Request() override {
    if (state_ == nullptr) {
      return;
    }
    if (ticket_) {
      state_->calls.withdraw(*ticket_);
    }
    state_->all.erase(registered_);
    abandon();
  }

  void start(const HttpsRequest& request, const HttpsPost* post) {
    transfer_ = std::make_unique<HttpsTransfer>(state_->options, request, post);
    curl_easy_setopt(transfer_->easy(), CURLOPT_PRIVATE, this);
    driver_ = state_->driver;
    driver_->add(transfer_->easy());
  }

  void complete(CURLcode code) {
    auto result = transfer_->described(transfer_->result(code));
    leave_curl();
    hand_over_soon(std::move(result));
  }

  void hand_over_soon(HttpsTransfer::Result result) {
    result_ = std::move(result);
    ticket_ = state_->calls.push([this] {
      ticket_.reset();
      state_->all.erase(registered_);
      state_ = nullptr;
      const auto done = std::move(done_);
      auto outcome = std::move(*result_);
      done(std::move(outcome));
    });
  }

  /// The client or the caller loses interest: nothing will be called.
  void abandon() {
    leave_curl();
    state_ = nullptr;
  }

 private:
  void leave_curl() {
    if (transfer_) {
      driver_->remove(transfer_->easy());
      transfer_.reset();
      driver_.reset();
    }
  }

  State* state_;
  Callback done_;
  std::list<Request*>::iterator registered_;
  std::shared_ptr<CurlDriver> driver_;
  std::unique_ptr<HttpsTransfer> transfer_;
  std::optional<HttpsTransfer::Result> result_;
  std::optional<CallQueue::Ticket> ticket_;
};

HttpsClient::State::State(EventLoop& event_loop, HttpsClientOptions given)
    : loop(event_loop), options(std::move(given)), driver(new_driver()), calls(event_loop) {}

HttpsClient::State::~State() {
  for (Request* request : all) {
    request->abandon();
  }
}

void HttpsClient::State::on_complete(CURL* easy, CURLcode code) {
  Request* request = nullptr;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &request);
  request->complete(code);
}

HttpsClient::HttpsClient(EventLoop& loop, HttpsClientOptions options)
    : state_(std::make_unique<State>(loop, std::move(options))) {}

HttpsClient::~HttpsClient() = default;

Operation HttpsClient::get(const HttpsRequest& request, Callback done) {
  return ask(request, nullptr, std::move(done));
}

Operation HttpsClient::post(const HttpsRequest& request, const HttpsPost& post, Callback done) {
  return ask(request, &post, std::move(done));
}

Operation HttpsClient::ask(const HttpsRequest& request, const HttpsPost* post, Callback done) {
  auto task = std::make_unique<State::Request>(*state_, std::move(done));
  if (request.addresses.empty()) {
    task->hand_over_soon(
        Unexpected<HttpsFailure>(HttpsFailure{HttpsFailure::Kind::connect, "no-address"}));
  } else {
    task->start(request, post);
  }
  return Operation(std::move(task));
}

void HttpsClient::renew_trust(Revocation revocation) {
  state_->options.revocation = revocation;
  state_->driver = state_->new_driver();
}

}  // namespace relay::net
