// The Received field that every relayed message gets (RFC 5321 §4.4). Pure.
#pragma once

#include <string>

#include "relay/message/date_time.h"

namespace relay::message {

struct TraceFacts {
  std::string helo;           ///< argument of EHLO or HELO; empty: the client is not told
  std::string client;         ///< "[192.0.2.1]", "[IPv6:2001:db8::1]" or "uid 1000"
  std::string hostname;       ///< ours
  std::string protocol;       ///< "ESMTP", "UTF8SMTP" …
  std::string id;             ///< queue id
  std::string for_recipient;  ///< the only recipient's address; empty when there are several
  Time time{};
  std::string tls{};  ///< "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384"; empty: plaintext
};

/// The whole field, folded, with CRLF at each line's end.
[[nodiscard]] std::string received_header(const TraceFacts& facts);

}  // namespace relay::message
