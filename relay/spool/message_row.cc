#include "relay/spool/message_row.h"

#include "relay/spool/schema.h"

namespace relay::spool {

namespace {

constexpr std::int64_t kEightBit = 1;
constexpr std::int64_t kSmtpUtf8 = 2;
constexpr std::int64_t kTlsRequired = 4;
constexpr std::int64_t kTlsOptional = 8;

std::int64_t tls_flags(MessageTls tls) {
  switch (tls) {
    case MessageTls::normal:
      return 0;
    case MessageTls::required:
      return kTlsRequired;
    case MessageTls::optional:
      return kTlsOptional;
  }
  return 0;
}

// Should both be set, the flag that protects counts.
MessageTls read_tls(std::int64_t flags) {
  if ((flags & kTlsRequired) != 0) {
    return MessageTls::required;
  }
  return (flags & kTlsOptional) != 0 ? MessageTls::optional : MessageTls::normal;
}

}  // namespace

std::int64_t stored_time(net::WallTime time) {
  return time.time_since_epoch().count();
}

net::WallTime read_time(std::int64_t milliseconds) {
  return net::WallTime(std::chrono::milliseconds(milliseconds));
}

// A number that no version knows must not push a message aside.
Priority read_priority(std::int64_t value) {
  const auto priority = static_cast<Priority>(value);
  return priority == Priority::high || priority == Priority::bulk ? priority : Priority::normal;
}

std::int64_t message_flags(const Envelope& envelope) {
  return (envelope.eight_bit ? kEightBit : 0) | (envelope.smtputf8 ? kSmtpUtf8 : 0) |
         (envelope.delay_told ? kDelayTold : 0) | tls_flags(envelope.tls);
}

Envelope read_envelope(const Row& row) {
  Envelope envelope;
  envelope.id = MessageId(row.integer(0));
  envelope.origin = static_cast<Origin>(row.integer(1));
  const auto flags = row.integer(2);
  envelope.eight_bit = (flags & kEightBit) != 0;
  envelope.smtputf8 = (flags & kSmtpUtf8) != 0;
  envelope.tls = read_tls(flags);
  envelope.delay_told = (flags & kDelayTold) != 0;
  envelope.received_at = read_time(row.integer(3));
  envelope.expires_at = read_time(row.integer(4));
  envelope.size = static_cast<std::uint64_t>(row.integer(5));
  envelope.sender = row.text(6);
  envelope.ret = row.text(7);
  envelope.envid = row.text(8);
  envelope.client_ip = row.text(9);
  envelope.client_helo = row.text(10);
  envelope.priority = read_priority(row.integer(11));
  envelope.user = row.text(12);
  envelope.held = row.text(13);
  envelope.held_at = read_time(row.integer(14));
  envelope.life_from = read_time(row.integer(15));
  envelope.listener = row.text(16);
  return envelope;
}

Recipient read_recipient(const Row& row) {
  Recipient recipient;
  recipient.index = static_cast<std::uint32_t>(row.integer(0) & kMaxPosition);
  recipient.attempts = static_cast<int>(row.integer(1));
  recipient.next_try = read_time(row.integer(2));
  recipient.address = row.text(3);
  recipient.domain = row.text(4);
  recipient.notify = row.text(5);
  recipient.orcpt = row.text(6);
  recipient.last_result = row.text(7);
  recipient.last_try = read_time(row.integer(8));
  return recipient;
}

}  // namespace relay::spool
