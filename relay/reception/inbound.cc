#include "relay/reception/inbound.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "relay/message/trace_header.h"
#include "relay/spool/schedule.h"

namespace relay::reception {
namespace {

using Demand = smtp::ServerSession::Demand;

constexpr std::size_t kMaxUnwritten = std::size_t{256} * 1024;
constexpr std::size_t kMaxPendingOutput = std::size_t{64} * 1024;
constexpr std::size_t kMaxSlice = std::size_t{64} * 1024;

std::size_t at_least_one(int value) {
  return static_cast<std::size_t>(std::max(value, 1));
}

smtp::ServerSettings server_settings(const ReceptionSettings& settings,
                                     const Permission& permission) {
  const auto& limits = settings.limits;
  smtp::ServerSettings server;
  server.hostname = settings.hostname;
  server.relaying = permission.relaying;
  server.content.message_size = limits.message_size;
  server.content.header_size = limits.header_size;
  server.content.line_length = at_least_one(limits.line_length);
  server.content.received_headers = limits.received_headers;
  server.content.line_ends = permission.line_ends;
  server.recipients = at_least_one(limits.recipients);
  server.soft_errors = limits.soft_errors;
  server.hard_errors = limits.hard_errors;
  server.junk_commands = limits.junk_commands;
  return server;
}

// Told only of the few messages that ask for something.
std::string asked_of_tls(const spool::Envelope& envelope) {
  return envelope.tls == smtp::MessageTls::normal ? std::string()
                                                  : std::string(smtp::name(envelope.tls));
}

std::string shown(const std::string& sender) {
  return sender.empty() ? "<>" : sender;
}

}  // namespace

std::shared_ptr<const ReceptionSettings> ReceptionSettings::from(const conf::Config& config) {
  return std::make_shared<const ReceptionSettings>(
      ReceptionSettings{config.hostname, config.limits, config.queue, config.listen});
}

Inbound::Inbound(Parts parts, std::unique_ptr<net::Connection> connection,
                 const Permission& permission, std::function<void(Inbound*)> finished)
    : parts_(std::move(parts)),
      connection_(std::move(connection)),
      finished_(std::move(finished)),
      session_(server_settings(*parts_.settings, permission)),
      relaying_(permission.relaying),
      patience_(parts_.settings->limits, parts_.clock.steady()),
      timer_(parts_.loop, [this] { tick(); }),
      pause_timer_(parts_.loop, [this] {
        session_.resumed();
        (void)pump();
      }) {
  if (const auto peer = connection_->peer_address()) {
    client_ip_ = peer->ip();
    client_literal_ = peer->smtp_literal();
  }
  connection_->set_observer(this);
  connection_->write(session_.take_output());
  touch();
  arm();
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
           session_.demand() == Demand::open_message);
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
        pause_timer_.start(smtp::ServerSession::kPauseTime);
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
    case Demand::close:
      log_rejections();
      connection_->write(session_.take_output());
      net::Connection::close_gracefully(std::move(connection_));
      finish();
      return Life::over;
  }
  return Life::goes_on;
}

smtp::Room Inbound::room() const {
  if (parts_.spool.failed()) {
    return smtp::Room::store_failed;
  }
  return parts_.spool.has_room_for(session_.transaction().declared_size) ? smtp::Room::available
                                                                         : smtp::Room::disk_full;
}

void Inbound::open_message() {
  const auto now = room();
  if (now == smtp::Room::available) {
    size_ = 0;
    message_ = parts_.spool.receive(parts_.loop);
    message_->set_drained([this] { steer_reading(); });
    append(received_header());
  }
  session_.opened(now);
}

std::string Inbound::received_header() const {
  const auto& transaction = session_.transaction();
  message::TraceFacts facts;
  facts.helo = session_.helo();
  facts.client = client_literal_;
  facts.hostname = parts_.settings->hostname;
  facts.protocol = session_.protocol();
  facts.id = message_->id().text();
  if (transaction.recipients.size() == 1) {
    facts.for_recipient = transaction.recipients.front().address.text();
  }
  facts.time = parts_.clock.wall();
  return message::received_header(facts);
}

void Inbound::append(std::string_view content) {
  size_ += content.size();
  for (; !content.empty(); content.remove_prefix(std::min(content.size(), kMaxSlice))) {
    message_->append(std::string(content.substr(0, kMaxSlice)));
  }
}

void Inbound::move_content() {
  if (committing_ || !message_) {
    return;
  }
  if (!session_.receiving()) {
    message_.reset();
    return;
  }
  append(session_.take_content());
}

spool::Envelope Inbound::envelope() const {
  const auto& transaction = session_.transaction();
  spool::Envelope envelope;
  envelope.id = message_->id();
  envelope.sender = transaction.sender;
  envelope.received_at = parts_.clock.wall();
  envelope.expires_at = envelope.received_at + parts_.settings->queue.lifetime;
  envelope.size = size_;
  envelope.eight_bit = transaction.eight_bit;
  envelope.smtputf8 = transaction.needs_smtputf8;
  envelope.tls = transaction.tls;
  envelope.ret = transaction.ret;
  envelope.envid = transaction.envid;
  envelope.client_ip = client_ip_;
  envelope.client_helo = session_.helo();
  const auto first_try =
      spool::next_try(parts_.settings->queue.retry, {0, envelope.received_at, envelope.expires_at})
          .value_or(envelope.received_at);
  for (const auto& recipient : transaction.recipients) {
    spool::Recipient stored;
    stored.index = static_cast<std::uint32_t>(envelope.recipients.size());
    stored.address = recipient.address.text();
    stored.domain = recipient.address.domain;
    stored.notify = recipient.notify;
    stored.orcpt = recipient.orcpt;
    stored.next_try = first_try;
    envelope.recipients.push_back(std::move(stored));
  }
  return envelope;
}

void Inbound::commit() {
  committing_ = true;
  auto whole = envelope();
  auto logged = whole;
  message_->commit(std::move(whole),
                   [this, logged = std::move(logged)](const spool::Stored<void>& result) {
                     committed(logged, result);
                   });
}

void Inbound::committed(const spool::Envelope& envelope, const spool::Stored<void>& result) {
  committing_ = false;
  message_.reset();
  auto outcome = smtp::Room::available;
  if (result) {
    log_accepted(envelope);
  } else {
    outcome = result.error().kind == spool::StoreFault::Kind::disk_full ? smtp::Room::disk_full
                                                                        : smtp::Room::store_failed;
    parts_.log.error("store-failed", {{"id", envelope.id.text()},
                                      {"client", client_ip_},
                                      {"from", shown(envelope.sender)},
                                      {"detail", result.error().reason}});
  }
  if (!connection_) {
    finish();
    return;
  }
  touch();
  session_.stored(outcome, envelope.id.text());
  (void)pump();
}

void Inbound::log_accepted(const spool::Envelope& envelope) {
  if (!parts_.log.enabled(conf::LogLevel::info)) {
    return;
  }
  std::string to;
  for (const auto& recipient : envelope.recipients) {
    if (to.size() > 512) {
      break;
    }
    to.append(to.empty() ? "" : ",").append(recipient.address);
  }
  parts_.log.info("accepted", {{"id", envelope.id.text()},
                               {"from", shown(envelope.sender)},
                               {"to", std::move(to)},
                               {"recipients", std::to_string(envelope.recipients.size())},
                               {"client", client_ip_},
                               {"helo", envelope.client_helo},
                               {"size", std::to_string(envelope.size)},
                               {"tls", asked_of_tls(envelope)}});
}

void Inbound::log_rejections() {
  for (auto& rejection : session_.take_rejections()) {
    const auto* event = rejection.end.empty() ? "rejected" : "closed";
    const auto* said = rejection.end == "lost" ? "detail" : "reply";
    parts_.log.info(event, {{"client", client_ip_},
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
  if (!connection_) {
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
  return reception::load(relaying_, parts_.connections->total(),
                         at_least_one(parts_.settings->limits.connections));
}

void Inbound::tick() {
  const bool our_turn = committing_ || (!reading_ && message_);
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
