#include "relay/delivery/conversation.h"

#include <cstring>
#include <utility>

#include <fmt/format.h>

#include "relay/smtp/ascii.h"

namespace relay::delivery {
namespace {

/// Enough to keep the socket busy while the next slice is read; bounds memory per connection.
constexpr std::size_t kOutputHighWater = 128UL * 1024;

}  // namespace

void ConversationCount::add(const std::string& destination) {
  ++total_;
  ++by_destination_[destination];
}

void ConversationCount::remove(const std::string& destination) {
  --total_;
  const auto found = by_destination_.find(destination);
  if (--found->second == 0) {
    by_destination_.erase(found);
  }
}

std::size_t ConversationCount::of(const std::string& destination) const {
  const auto found = by_destination_.find(destination);
  return found == by_destination_.end() ? 0 : found->second;
}

void ConversationCount::remove_open(const net::SocketAddress& address) {
  const auto found = open_.find(address);
  if (--found->second == 0) {
    open_.erase(found);
  }
}

std::string ConversationTarget::key() const {
  return fmt::format("{}|{}|{}|{}|{}|{}|{}", host ? host->text() : std::string{}, address.literal(),
                     requirement.key(), generation, source ? source->ip() : std::string{},
                     tls_start == smtp::TlsStart::implicit ? "implicit" : "", identity);
}

Conversation::Conversation(const ConversationContext& context, ConversationTarget target,
                           const smtp::ClientSettings& settings)
    : context_(context),
      target_(std::move(target)),
      key_(target_.key()),
      session_(settings),
      connect_timeout_(settings.timeouts.connect),
      own_name_(settings.helo_name),
      deadline_(context.loop, [this] { on_deadline(); }),
      late_report_(context.loop, [this] { report(); }) {
  context_.count.add(target_.destination);
}

Conversation::~Conversation() {
  context_.count.remove(target_.destination);
  if (messages_ > 0) {
    context_.count.remove_open(target_.address);
  }
}

void Conversation::open(MessageJob job, Done done) {
  origin_ = SessionUsed::Origin::opened;
  opened_at_ = context_.clock.steady();
  dialogue_.send_to(std::move(job.trace));
  job_ = std::move(job);
  done_ = std::move(done);
  connecting_ = net::connect(context_.loop, target_.address, target_.source, connect_timeout_,
                             [this](auto result) { connected(std::move(result)); });
}

void Conversation::send(MessageJob job, Done done) {
  origin_ = SessionUsed::Origin::reused;
  ended_ = nullptr;
  dialogue_.send_to(std::move(job.trace));
  job_ = std::move(job);
  done_ = std::move(done);
  result_.reset();
  call_ = Call::send;
  pump();
  call_ = Call::none;
}

void Conversation::park(std::chrono::milliseconds idle, std::function<void()> ended) {
  ended_ = std::move(ended);
  watched_.reset();
  deadline_.start(idle);
}

void Conversation::expire() {
  if (!done_ || late_report_.running()) {
    return;
  }
  if (!connection_) {
    connecting_.cancel();
    const Done done = std::move(done_);
    done(ConnectFailed{"no connection within the time of the attempt"});
    return;
  }
  session_.timed_out();
  pump();
}

void Conversation::close() {
  if (!connection_) {
    return;
  }
  if (session_.demand() == smtp::ClientSession::Demand::ready) {
    session_.quit();
  }
  flush();
  net::Connection::close_gracefully(std::move(connection_));
}

bool Conversation::usable() const {
  return connection_ != nullptr && session_.demand() == smtp::ClientSession::Demand::ready;
}

void Conversation::connected(
    Expected<std::unique_ptr<net::Connection>, net::ConnectFailure> result) {
  if (!result) {
    const Done done = std::move(done_);
    done(
        ConnectFailed{result.error().reason, result.error().cause == net::ConnectFailure::Cause::own
                                                 ? ConnectFailed::Cause::own
                                                 : ConnectFailed::Cause::peer});
    return;
  }
  connection_ = std::move(*result);
  connection_->set_observer(this);
  if (const auto local = connection_->local_address()) {
    local_ip_ = local->ip();
  }
  pump();
}

void Conversation::on_bytes(std::string_view bytes) {
  dialogue_.received(bytes);
  session_.receive(bytes);
  pump();
}

void Conversation::on_drained() {
  if (session_.demand() == smtp::ClientSession::Demand::send_body) {
    watched_.reset();  // progress: each block has its own deadline (RFC 5321 §4.5.3.2.5)
    pump();
  }
}

void Conversation::on_closed(net::Connection::CloseReason /*reason*/, std::string detail) {
  session_.closed(detail);
  connection_.reset();
  pump();
}

void Conversation::flush() {
  if (!connection_) {
    return;
  }
  const bool secret = session_.stage() == smtp::Stage::auth;
  std::string output = session_.take_output();
  if (!output.empty()) {
    if (secret) {
      dialogue_.sent_credentials(output);
      // Content is sent while this is demanded, and at no other time.
    } else if (session_.demand() != smtp::ClientSession::Demand::send_body &&
               session_.stage() != smtp::Stage::final_dot) {
      dialogue_.sent(output);
    }
    connection_->write(output);
  }
  if (secret) {
    ::explicit_bzero(output.data(), output.size());
  }
}

void Conversation::pump() {
  using Demand = smtp::ClientSession::Demand;
  for (;;) {
    flush();
    if (auto result = session_.take_result()) {
      result_ = std::move(result);
    }
    switch (session_.demand()) {
      case Demand::ready:
        if (job_) {
          begin();
          continue;
        }
        report();
        return;
      case Demand::close:
        report();
        return;
      case Demand::start_tls:
        start_tls();
        return;
      case Demand::send_body:
        feed_body();
        if (session_.demand() != Demand::send_body) {
          continue;
        }
        watch_deadline();
        return;
      case Demand::read:
        watch_deadline();
        return;
    }
  }
}

void Conversation::begin() {
  // RFC 5321 §5.1: a host that greets with our own name is this relay again.
  if (job_->own_name == MessageJob::OwnName::loop &&
      smtp::equal_ignoring_case(session_.server_name(), own_name_)) {
    peer_ = SessionUsed::Peer::self;
    job_.reset();
    session_.quit();
    return;
  }
  if (messages_++ == 0) {
    context_.count.add_open(target_.address);
  }
  message_ = job_->id;
  next_slice_ = 0;
  signature_ = std::move(job_->signature);
  mail_at_ = context_.clock.wall();
  session_.begin(std::move(job_->transaction));
  job_.reset();
}

void Conversation::feed_body() {
  while (session_.demand() == smtp::ClientSession::Demand::send_body && connection_ &&
         connection_->pending_output() < kOutputHighWater) {
    if (!signature_.empty()) {
      session_.body(std::exchange(signature_, {}));
    }
    auto slice = context_.reader.slice(message_, next_slice_);
    if (!slice) {
      session_.body_failed();
    } else if (!*slice) {
      session_.body_end();
    } else {
      ++next_slice_;
      session_.body(**slice);
    }
    flush();
  }
}

void Conversation::start_tls() {
  deadline_.stop();
  watched_.reset();
  net::TlsClientOptions options{target_.host, target_.requirement.floor(), &context_.tls_sessions,
                                key_, target_.requirement.dane()};
  options.server_name = target_.requirement.sni(target_.host);
  if (dialogue_.wanted()) {
    options.sessions = nullptr;  // a resumed session shows no certificates
  }
  options.chain = dialogue_.wanted() ? net::DescribeChain::yes : net::DescribeChain::no;
  connection_->start_tls(*context_.tls, options, session_.timeout(),
                         [this](net::TlsOutcome outcome) { handshake_over(std::move(outcome)); });
}

void Conversation::handshake_over(net::TlsOutcome outcome) {
  dialogue_.handshake(outcome);
  session_.tls_established(std::move(outcome));
  pump();
}

void Conversation::watch_deadline() {
  // Per command (RFC 5321 §4.5.3.2), not per byte: a peer that sends one byte a second must not
  // live for ever.
  const std::tuple now{session_.stage(), session_.demand(), session_.answers()};
  if (watched_ != now) {
    watched_ = now;
    deadline_.start(session_.timeout());
  }
}

void Conversation::on_deadline() {
  watched_.reset();
  if (ended_) {
    close();
    const auto ended = std::move(ended_);
    ended();
    return;
  }
  session_.timed_out();
  pump();
}

void Conversation::report() {
  if (call_ == Call::send) {
    late_report_.start(std::chrono::milliseconds(0));
    return;
  }
  deadline_.stop();
  watched_.reset();
  if (session_.demand() == smtp::ClientSession::Demand::close && connection_) {
    flush();
    net::Connection::close_gracefully(std::move(connection_));
  }
  if (ended_) {
    const auto ended = std::move(ended_);
    ended();
    return;
  }
  if (!done_) {
    return;
  }
  SessionUsed used;
  used.origin = origin_;
  used.peer = peer_;
  used.tls = session_.tls_outcome();
  used.server_name = session_.server_name();
  used.local_ip = local_ip_;
  used.transaction = std::exchange(result_, std::nullopt);
  used.mail_at = std::exchange(mail_at_, std::nullopt);
  used.end = session_.end();
  dialogue_.send_to({});
  const Done done = std::move(done_);
  done(std::move(used));
}

}  // namespace relay::delivery
