// ServerSession's message content: DATA (RFC 5321 §4.1.1.4), BDAT (RFC 3030), and its end.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "relay/smtp/server_session.h"

namespace relay::smtp {
namespace {

constexpr std::size_t kMaxRecipientsText = 512;

Refusal refusal(ContentFault fault, const ContentLimits& limits) {
  switch (fault) {
    case ContentFault::bare_line_end:
      return {550, "5.5.2", "Bare <CR> or <LF> in message: lines end in <CR><LF>"};
    case ContentFault::nul:
      return {550, "5.6.0", "NUL in message"};
    case ContentFault::line_too_long:
      return {550, "5.6.0", fmt::format("Line longer than {} octets", limits.line_length)};
    case ContentFault::too_large:
      return {552, "5.3.4", fmt::format("Message larger than {} octets", limits.message_size)};
    case ContentFault::header_too_large:
      return {552, "5.3.4", "Header section too large"};
    case ContentFault::loop:
      return {554, "5.4.6",
              fmt::format("More than {} Received fields: mail loop", limits.received_headers)};
  }
  return {554, "5.6.0", "Message refused"};
}

}  // namespace

void ServerSession::lose_receiving() {
  receiving_ = false;
  content_.clear();
  mode_ = Mode::command;
}

bool ServerSession::envelope_complete(std::string_view stage) {
  if (!mail_given_) {
    refuse(stage, {503, "5.5.1", "MAIL first"});
    return false;
  }
  if (transaction_.recipients.empty()) {
    refuse(stage, {554, "5.5.1", "No valid recipients"});
    return false;
  }
  return true;
}

void ServerSession::begin_content() {
  unstuffer_ = {};
  check_ = ContentCheck(settings_.content);
  chunk_refusal_.reset();
}

void ServerSession::on_data(const Command& command) {
  if (!command.argument.empty()) {
    refuse("DATA", {501, "5.5.4", "Syntax: DATA"});
  } else if (in_bdat_) {
    refuse("DATA", {503, "5.5.1", "BDAT is in progress"});
  } else if (envelope_complete("DATA")) {
    begin_content();
    demand_ = Demand::open_message;
  }
}

void ServerSession::opened(Room room) {
  if (demand_ != Demand::open_message) {
    return;
  }
  demand_ = Demand::read;
  const bool chunked = mode_ == Mode::bdat;
  switch (room) {
    case Room::available:
      receiving_ = true;
      if (!chunked) {
        mode_ = Mode::data;
        reply("354 End data with <CR><LF>.<CR><LF>");
      }
      break;
    case Room::disk_full:
    case Room::queue_full:
    case Room::sender_full:
    case Room::client_over: {
      const Refusal full = refusal_of(room);
      if (chunked) {
        chunk_refusal_ = full;
      } else {
        note({"DATA", {}, {}, coded(full), {}});
        reply(coded(full));
        reset();
      }
      break;
    }
    case Room::store_failed:
      store_failed(chunked ? "BDAT" : "DATA");
      return;
  }
  if (mode_ == Mode::bdat && chunk_left_ == 0) {
    end_bdat_chunk();
  }
  process();
}

void ServerSession::take_data() {
  auto bytes = std::string_view(input_).substr(used_);
  std::string text;
  text.reserve(bytes.size());
  const bool ended = unstuffer_.feed(bytes, text);
  used_ = input_.size() - bytes.size();
  check_.feed(text, content_);
  receiving_ = !check_.fault();
  if (check_.fault()) {
    content_.clear();
  }
  if (ended) {
    end_content();
  }
}

void ServerSession::on_bdat(const Command& command) {
  const auto bdat = parse_bdat(command.argument);
  if (!bdat) {
    // The octets that follow cannot be told from commands.
    const auto text = coded({501, "5.5.4", "Syntax: BDAT size [LAST]"});
    note({"BDAT", {}, {}, text, {}});
    reply(text);
    cut_off("BDAT", "out-of-step", {421, "4.7.0", "Out of step"});
    return;
  }
  chunk_left_ = bdat->size;
  chunk_last_ = bdat->last;
  chunk_refusal_.reset();
  if (!mail_given_ || transaction_.recipients.empty()) {
    chunk_refusal_ = mail_given_ ? Refusal{554, "5.5.1", "No valid recipients"}
                                 : Refusal{503, "5.5.1", "MAIL first"};
  } else if (!in_bdat_) {
    begin_content();
    in_bdat_ = true;
    demand_ = Demand::open_message;
  }
  mode_ = Mode::bdat;
  if (demand_ == Demand::read && chunk_left_ == 0) {
    end_bdat_chunk();
  }
}

void ServerSession::take_bdat() {
  const auto length = std::min<std::uint64_t>(chunk_left_, input_.size() - used_);
  const auto octets = std::string_view(input_).substr(used_, static_cast<std::size_t>(length));
  if (!chunk_refusal_) {
    check_.feed(octets, content_);
    if (check_.fault()) {
      receiving_ = false;
      content_.clear();
    }
  }
  used_ += static_cast<std::size_t>(length);
  chunk_left_ -= length;
  if (chunk_left_ == 0) {
    end_bdat_chunk();
  }
}

void ServerSession::end_bdat_chunk() {
  mode_ = Mode::command;
  if (chunk_refusal_) {
    // RFC 3030 §2: drained, in step, and the transaction is void.
    const auto why = *std::exchange(chunk_refusal_, std::nullopt);
    if (why.code < 500) {
      // No error of the client's.
      note({"BDAT", {}, {}, coded(why), {}});
      reply(coded(why));
    } else {
      refuse("BDAT", why);
    }
    reset();
  } else if (check_.fault()) {
    refuse("content", refusal(*check_.fault(), settings_.content), recipients_text());
    reset();
  } else if (chunk_last_) {
    end_content();
  } else {
    reply("250 2.0.0 Ok");
  }
}

void ServerSession::end_content() {
  mode_ = Mode::command;
  check_.finish(content_);
  if (!check_.fault()) {
    transaction_.eight_bit = check_.eight_bit();
    transaction_.needs_smtputf8 =
        transaction_.needs_smtputf8 || (smtputf8_ && check_.header_eight_bit());
    // RFC 8689 §4.1: with the REQUIRETLS parameter the field MUST be ignored.
    if (transaction_.tls == MessageTls::normal && check_.tls_not_required()) {
      transaction_.tls = MessageTls::optional;
    }
    demand_ = Demand::store_message;
    return;
  }
  // Nobody who speaks SMTP sends a bare CR or LF by accident and more mail after it: what follows
  // may be smuggled, so it is not read.
  const bool smuggling = *check_.fault() == ContentFault::bare_line_end && !in_bdat_;
  refuse("content", refusal(*check_.fault(), settings_.content), recipients_text());
  if (smuggling && demand_ != Demand::close) {
    cut_off("content", "smuggling", {421, "4.7.0", "Closing"});
  }
  reset();
}

// All recipients of refused content, as far as a log line takes them.
std::string ServerSession::recipients_text() const {
  std::string text;
  for (const auto& recipient : transaction_.recipients) {
    if (text.size() >= kMaxRecipientsText) {
      break;
    }
    text.append(text.empty() ? "" : ",").append(recipient.address.text());
  }
  return text;
}

// The store takes nothing more until a restart.
void ServerSession::store_failed(std::string_view stage) {
  cut_off(stage, "store-failed", {421, "4.3.0", "Cannot store mail"});
}

void ServerSession::stored(Room room, std::string_view queue_id) {
  if (demand_ != Demand::store_message) {
    return;
  }
  demand_ = Demand::read;
  switch (room) {
    case Room::available:
      errors_ = 0;
      junk_ = 0;
      reply(fmt::format("250 2.0.0 Ok: queued as {}", queue_id));
      break;
    case Room::disk_full:
    case Room::queue_full:
    case Room::sender_full:
    case Room::client_over: {
      const auto text = coded(refusal_of(room));
      note({"content", {}, recipients_text(), text, {}});
      reply(text);
      break;
    }
    case Room::store_failed:
      store_failed("content");
      break;
  }
  reset();
  process();
}

}  // namespace relay::smtp
