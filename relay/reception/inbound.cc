#include "relay/reception/inbound.h"

#include <algorithm>
#include <utility>

#include "relay/smtp/ascii.h"

namespace relay::reception {
namespace {

using Demand = smtp::ServerSession::Demand;

constexpr std::size_t kMaxUnwritten = std::size_t{256} * 1024;
constexpr std::size_t kMaxPendingOutput = std::size_t{64} * 1024;
constexpr std::chrono::milliseconds kHandshakeTime{60'000};

std::size_t at_least_one(int value) {
  return static_cast<std::size_t>(std::max(value, 1));
}

smtp::Security security(const conf::ListenerTls& tls) {
  switch (tls.mode) {
    case conf::ListenerTls::Mode::none:
      return smtp::Security::plain;
    case conf::ListenerTls::Mode::starttls:
      return smtp::Security::starttls;
    case conf::ListenerTls::Mode::implicit:
      return smtp::Security::implicit;
  }
  return smtp::Security::plain;
}

std::optional<smtp::RecipientFault> fault_at_rcpt(const conf::Staging& staging,
                                                  const std::string& address) {
  const conf::StagingFault* const fault =
      staging.fault(conf::StagingFault::At::submission, address);
  if (fault == nullptr) {
    return std::nullopt;
  }
  return smtp::RecipientFault{fault->reply, fault->delay,
                              fault->connection == conf::StagingFault::Connection::kept
                                  ? smtp::RecipientFault::Connection::kept
                                  : smtp::RecipientFault::Connection::dropped};
}

void set_staging(smtp::ServerSettings& server, const conf::Staging& staging) {
  server.staging = staging.modes();
  if (!staging.faults.empty()) {
    server.recipient_fault = [staging](const std::string& address) {
      return fault_at_rcpt(staging, address);
    };
  }
  server.refusals = staging.soft_bounce ? smtp::Refusals::softened : smtp::Refusals::as_they_are;
}

smtp::ServerSettings server_settings(const ReceptionSettings& settings,
                                     const ListenerSettings& listener, const Client& client,
                                     const Permission& permission) {
  const auto& limits = settings.limits;
  smtp::ServerSettings server;
  server.hostname = settings.hostname;
  server.security = security(listener.rules.tls);
  if (listener.files.users) {
    server.authentication = listener.rules.auth.required ? smtp::Authentication::required
                                                         : smtp::Authentication::offered;
  }
  server.relaying = permission.relaying;
  server.envelope = envelope_rules(listener.rules, client, {});
  server.content.message_size = limits.message_size;
  server.content.header_size = limits.header_size;
  server.content.line_length = at_least_one(limits.line_length);
  server.content.received_headers = limits.received_headers;
  server.content.line_ends = permission.line_ends;
  server.recipients = at_least_one(limits.recipients);
  server.soft_errors = limits.soft_errors;
  server.hard_errors = limits.hard_errors;
  server.junk_commands = limits.junk_commands;
  if (settings.staging) {
    set_staging(server, *settings.staging);
  }
  return server;
}

}  // namespace

std::shared_ptr<const ReceptionSettings> ReceptionSettings::from(
    const conf::Config& config, const std::vector<ListenerFiles>& files) {
  ReceptionSettings settings{config.hostname, config.limits, config.queue, {}, config.staging};
  for (std::size_t i = 0; i < config.listen.size(); ++i) {
    settings.listen.push_back({config.listen[i], files[i]});
  }
  return std::make_shared<const ReceptionSettings>(std::move(settings));
}

Client client_of(const net::Connection& connection) {
  if (const auto peer = connection.peer_address()) {
    return {peer->ip(), peer->ip(), peer->smtp_literal()};
  }
  const auto uid = connection.peer_uid();
  const auto number = uid ? std::to_string(*uid) : std::string("unknown");
  return {{}, "uid:" + number, "uid " + number};
}

Inbound::Inbound(Parts parts, std::unique_ptr<net::Connection> connection, Standing standing,
                 const ListenerSettings& listener, std::function<void(Inbound*)> finished)
    : parts_(std::move(parts)),
      connection_(std::move(connection)),
      finished_(std::move(finished)),
      listener_(listener),
      client_(client_of(*connection_)),
      standing_(std::move(standing)),
      permission_(permission(listener.rules, client_.ip)),
      session_(server_settings(*parts_.settings, listener, client_, permission_)),
      patience_(parts_.settings->limits, parts_.clock.steady()),
      timer_(parts_.loop, [this] { tick(); }),
      pause_timer_(parts_.loop,
                   [this] {
                     session_.resumed();
                     (void)pump();
                   }),
      auth_timer_(parts_.loop, [this] { decide_credentials(smtp::AuthVerdict::rejected); }) {
  connection_->set_observer(this);
  touch();
  arm();
  (void)pump();  // ends no session: nothing was received
}

void Inbound::on_bytes(std::string_view bytes) {
  if (session_.in_content()) {
    patience_.content(bytes.size());
    touch();
  }
  session_.receive(bytes);
  (void)pump();
}

void Inbound::on_drained() {
  steer_reading();
}

void Inbound::on_closed(net::Connection::CloseReason /*reason*/, std::string detail) {
  connection_.reset();
  timer_.stop();
  pause_timer_.stop();
  auth_timer_.stop();
  checking_.cancel();
  session_.lost(detail);
  log_rejections();
  // What was handed to the spool for good gets its log line; the client will send it again.
  if (!committing_) {
    finish();
  }
}

void Inbound::shut_down() {
  session_.shut_down();
  (void)pump();
}

// Carries out what the engine demands until it wants to wait.
Inbound::Life Inbound::pump() {
  if (!connection_) {
    return Life::goes_on;
  }
  Demand before{};
  do {
    before = session_.demand();
    move_content();
    if (obey() == Life::over) {
      return Life::over;
    }
  } while (session_.demand() != before || session_.demand() == Demand::check_room ||
           session_.demand() == Demand::open_message ||
           (session_.demand() == Demand::check_credentials && !checking_credentials_));
  move_content();
  log_rejections();
  if (const auto output = session_.take_output(); !output.empty()) {
    connection_->write(output);
    touch();
  }
  if (session_.in_content()) {
    patience_.content_expected(parts_.clock.steady());
  } else {
    patience_.content_over();
  }
  steer_reading();
  return Life::goes_on;
}

Inbound::Life Inbound::obey() {
  switch (session_.demand()) {
    case Demand::read:
      break;
    case Demand::pause:
      if (!pause_timer_.running()) {
        pause_timer_.start(session_.pause_time());
      }
      break;
    case Demand::check_room:
      session_.checked(room());
      break;
    case Demand::open_message:
      open_message();
      break;
    case Demand::store_message:
      if (!committing_) {
        commit();
      }
      break;
    case Demand::check_credentials:
      if (!checking_credentials_) {
        check_credentials();
      }
      break;
    case Demand::start_tls:
      if (!shaking_hands_) {
        start_tls();
      }
      break;
    case Demand::close:
      log_rejections();
      connection_->write(session_.take_output());
      net::Connection::close_gracefully(std::move(connection_));
      finish();
      return Life::over;
  }
  return Life::goes_on;
}

void Inbound::start_tls() {
  shaking_hands_ = true;
  if (!std::exchange(reading_, true)) {
    patience_.reading_resumed(parts_.clock.steady());
  }
  auto reply = session_.take_output();
  const auto start = reply.empty() ? net::TlsStart::at_once : net::TlsStart::after_reply;
  connection_->write(reply);
  touch();
  const auto limit = load() == Load::strained ? Patience::kStrainedSilence : kHandshakeTime;
  connection_->accept_tls(
      *listener_.files.tls, start, limit,
      [this](net::TlsServerOutcome outcome) { shook_hands(std::move(outcome)); });
}

void Inbound::shook_hands(net::TlsServerOutcome outcome) {
  shaking_hands_ = false;
  touch();
  if (outcome) {
    tls_ = *std::move(outcome);
    session_.tls_established();
    check_certificate();
  } else {
    session_.tls_failed(outcome.error().reason);
  }
  (void)pump();
}

smtp::Room Inbound::room() {
  auto own = parts_.clients.room(standing_);
  const bool over = !own.refusal.empty();
  session_.set_client_room(std::move(own));
  const auto general = store_room();
  return general == smtp::Room::available && over ? smtp::Room::client_over : general;
}

smtp::Room Inbound::store_room() const {
  if (parts_.spool.failed()) {
    return smtp::Room::store_failed;
  }
  const auto& transaction = session_.transaction();
  if (!parts_.spool.has_room_for(transaction.declared_size)) {
    return smtp::Room::disk_full;
  }
  const conf::Queue& queue = parts_.settings->queue;
  const std::string owner = spool::owner_of(session_.user(), transaction.sender);
  const spool::Occupancy::Totals now = parts_.spool.occupancy(owner);
  if ((queue.max_messages > 0 && now.messages >= queue.max_messages) ||
      (queue.max_size > 0 && now.octets + transaction.declared_size >= queue.max_size)) {
    return smtp::Room::queue_full;
  }
  // Notices and others' bounces share the null sender.
  const bool capped = queue.max_messages_per_sender > 0 && !owner.empty();
  return capped && now.of_owner >= queue.max_messages_per_sender ? smtp::Room::sender_full
                                                                 : smtp::Room::available;
}

void Inbound::move_content() {
  if (committing_ || !message_) {
    return;
  }
  if (!session_.receiving()) {
    message_.reset();
    return;
  }
  append_content(session_.take_content());
}

void Inbound::log_rejections() {
  for (auto& rejection : session_.take_rejections()) {
    const auto* event = rejection.end.empty() ? "rejected" : "closed";
    // A reply, or what became of a connection on which none could be said.
    const bool replied = !rejection.reply.empty() && smtp::is_digit(rejection.reply.front());
    const auto* said = replied ? "reply" : "detail";
    parts_.log.info(event, {{"client", client_.name},
                            {"helo", session_.helo()},
                            {"stage", std::move(rejection.stage)},
                            {"from", std::move(rejection.sender)},
                            {"to", std::move(rejection.recipients)},
                            {"reason", std::move(rejection.end)},
                            {said, std::move(rejection.reply)}});
  }
}

// Reads only while the engine wants bytes, the spool keeps up and the client takes our replies.
void Inbound::steer_reading() {
  if (!connection_ || shaking_hands_) {
    return;
  }
  const bool backlog = message_ && message_->unwritten() > (reading_ ? kMaxUnwritten : 0);
  const bool deaf = connection_->pending_output() > kMaxPendingOutput;
  const bool read = session_.demand() == Demand::read && !backlog && !deaf;
  if (read == reading_) {
    return;
  }
  reading_ = read;
  const auto now = parts_.clock.steady();
  if (read) {
    patience_.reading_resumed(now);
    connection_->resume_reading();
  } else {
    patience_.reading_stopped(now);
    connection_->pause_reading();
  }
}

void Inbound::touch() {
  patience_.progress(parts_.clock.steady());
}

void Inbound::arm() {
  timer_.start(patience_.next_look(parts_.clock.steady(), load()));
}

Load Inbound::load() const {
  return reception::load(permission_.relaying, parts_.connections->total(),
                         at_least_one(parts_.settings->limits.connections));
}

void Inbound::tick() {
  const bool our_turn =
      committing_ || checking_credentials_ || pause_timer_.running() || (!reading_ && message_);
  if (our_turn) {
    touch();
  }
  const auto overrun = patience_.overrun(parts_.clock.steady(), load());
  if (overrun && !committing_) {
    session_.timed_out(*overrun);
    if (pump() == Life::over) {
      return;
    }
  }
  arm();
}

void Inbound::finish() {
  const auto finished = std::exchange(finished_, nullptr);
  finished(this);
}

}  // namespace relay::reception
