// What the tests of ServerSession share.
#pragma once

#include <string>
#include <utility>

#include <doctest/doctest.h>

#include "tests/support/auto_server.h"
#include "tests/support/dialogue.h"

namespace relay::smtp::testing {

using support::AutoServer;
using support::Cut;
using support::play;
using Demand = ServerSession::Demand;

inline ServerSettings settings() {
  ServerSettings result;
  result.hostname = "relay.example";
  result.relaying = Relaying::allowed;
  result.content.message_size = 100'000;
  return result;
}

inline AutoServer after_ehlo(ServerSettings with = settings()) {
  AutoServer server(std::move(with));
  server.receive("EHLO client.example\r\n");
  (void)server.take_output();
  return server;
}

/// In the middle of DATA.
inline AutoServer in_data(ServerSettings with = settings()) {
  auto server = after_ehlo(std::move(with));
  server.receive("MAIL FROM:<a@b.example>\r\nRCPT TO:<x@d.example>\r\nDATA\r\n");
  REQUIRE(server.take_output().ends_with("354 End data with <CR><LF>.<CR><LF>\r\n"));
  return server;
}

/// The codes of the replies, with blanks between.
inline std::string codes(const std::string& output) {
  std::string result;
  for (std::size_t at = 0; at < output.size(); at = output.find('\n', at) + 1) {
    if (output[at + 3] == ' ') {
      result += (result.empty() ? "" : " ") + output.substr(at, 3);
    }
  }
  return result;
}

}  // namespace relay::smtp::testing
