#include "relay/message/trace_header.h"

#include <fmt/format.h>

namespace relay::message {

std::string received_header(const TraceFacts& facts) {
  const auto recipient = facts.for_recipient.empty()
                             ? std::string()
                             : fmt::format("\r\n\tfor <{}>", facts.for_recipient);
  const auto tls = facts.tls.empty() ? std::string() : fmt::format("\r\n\t(using {})", facts.tls);
  const auto from = facts.helo.empty()
                        ? std::string()
                        : fmt::format("from {} ({}){}\r\n\t", facts.helo, facts.client, tls);
  return fmt::format("Received: {}by {} with {} id {}{};\r\n\t{}\r\n", from, facts.hostname,
                     facts.protocol, facts.id, recipient, date_time(facts.time));
}

}  // namespace relay::message
