// ServerSession's part of staging: who it is, and recipients that meet with a fault.
#include <utility>

#include <fmt/format.h>

#include "relay/smtp/server_session.h"

namespace relay::smtp {

std::string ServerSession::staging_note() const {
  return settings_.staging.empty() ? std::string() : fmt::format(" STAGING: {}", settings_.staging);
}

// Whether a fault answers in our place.
bool ServerSession::simulate(const RcptCommand& rcpt) {
  auto address = rcpt.recipient.text();
  const auto fault = settings_.recipient_fault ? settings_.recipient_fault(address) : std::nullopt;
  if (!fault) {
    return false;
  }
  if (fault->connection == RecipientFault::Connection::dropped) {
    note({"RCPT", {}, std::move(address), "connection dropped, as staging.faults say", "staging"});
    lose_receiving();
    demand_ = Demand::close;
    input_.clear();
    used_ = 0;
    return true;
  }
  const bool refused = !fault->reply.empty() && fault->reply.front() != '2';
  if (!refused) {
    if (const auto surplus = add_recipient(rcpt)) {
      refuse_surplus(*surplus, std::move(address));
      return true;
    }
    answer_after(fault->delay, fault->reply.empty() ? "250 2.1.5 Ok" : fault->reply);
    return true;
  }
  // No error of the client's: whoever tries out many does not get slower answers.
  note({"RCPT",
        {},
        std::move(address),
        fault->reply,
        fault->reply.starts_with("421") ? "staging" : ""});
  if (fault->reply.starts_with("421")) {
    close_with(fault->reply);
  } else {
    answer_after(fault->delay, fault->reply);
  }
  return true;
}

void ServerSession::answer_after(std::chrono::milliseconds delay, std::string text) {
  if (delay <= std::chrono::milliseconds::zero()) {
    reply(text);
    return;
  }
  pause_time_ = delay;
  held_reply_ = std::move(text);
  demand_ = Demand::pause;
}

}  // namespace relay::smtp
