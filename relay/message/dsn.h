// Delivery status notifications: failed, delayed, relayed; as multipart/report (RFC 3464, RFC 6522;
// RFC 6533 where addresses are not ASCII). Pure. Whatever text comes in, no field or line can be
// forged: a control character becomes a blank, a value is cut at 900 octets.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/message/date_time.h"

namespace relay::message {

/// One recipient that the notice is about.
struct DsnRecipient {
  std::string address;      ///< "local@domain"
  std::string orcpt;        ///< RFC 3461 ORCPT as received (xtext); empty: absent
  std::string status;       ///< RFC 3463, "5.1.1"
  std::string remote_mta;   ///< MX host name; empty: none answered
  std::string diagnostic;   ///< the remote reply, "550 5.1.1 no such user"; empty: none
  std::string explanation;  ///< for a person: which domain, host, policy and rule, in sentences
  std::string advice;       ///< for a person: what the sender can do, in sentences; may be empty
  std::optional<Time> last_attempt;
  std::optional<Time> retry_until{};  ///< of a delayed message
};

enum class SmtpUtf8 { not_needed, needed };

/// RFC 3464 §2.3.3.
enum class Action { failed, delayed, relayed };

/// postmaster: ours, of a message that has no sender to tell.
enum class Reader { sender, postmaster };

/// What the notice says of the original message.
struct DsnFacts {
  std::string hostname;     ///< ours: Reporting-MTA, and the domain of From and Message-ID
  std::string id;           ///< queue id of the notice
  std::string original_id;  ///< queue id of the original
  Action action = Action::failed;
  Reader reader = Reader::sender;
  std::string to;  ///< who gets the notice: the original's reverse-path, or our postmaster
  Time now{};
  Time arrival{};
  std::string envid;                         ///< RFC 3461 ENVID as received (xtext); empty: absent
  std::string ret;                           ///< RFC 3461 RET
  SmtpUtf8 smtputf8 = SmtpUtf8::not_needed;  ///< of the original
  std::vector<DsnRecipient> recipients;      ///< at least one
};

/// The original content, or its beginning when it is large.
struct ReturnedContent {
  std::string_view beginning;   ///< with CRLF line ends
  std::uint64_t full_size = 0;  ///< octets of the whole
};

struct DsnMessage {
  std::string content;  ///< header and body, CRLF line ends, lines of at most 998 octets
  bool eight_bit = false;
  bool smtputf8 = false;  ///< it cannot travel without SMTPUTF8
};

/// Returns the whole original only of a failed one, when RET=FULL asks for it and beginning is all
/// of it, else its header section (RFC 3461 §4.3).
[[nodiscard]] DsnMessage status_notice(const DsnFacts& facts, const ReturnedContent& original);

}  // namespace relay::message
