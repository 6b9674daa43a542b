// Whole dialogues of a client with ServerSession: the cut must not matter, and what is stored has
// nothing but CRLF line ends; REQUIRETLS is taken inside TLS only. The first octet chooses options.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/support/auto_server.h"

namespace {

using support::AutoServer;

relay::smtp::ServerSettings settings(unsigned options) {
  relay::smtp::ServerSettings result;
  result.hostname = "relay.example";
  result.relaying = relay::smtp::Relaying::allowed;
  result.content.message_size = 2000;
  result.content.header_size = 500;
  result.content.line_length = 100;
  result.content.received_headers = 2;
  result.recipients = 2;
  if ((options & 2U) != 0) {
    result.security = relay::smtp::Security::tls;
    result.authentication = relay::smtp::Authentication::offered;
  }
  if ((options & 1U) != 0) {
    result.content.line_ends = relay::smtp::LineEnds::normalize_bare;
  }
  return result;
}

void check(const std::string& content) {
  for (std::size_t i = 0; i < content.size(); ++i) {
    if (content[i] == '\0' || (content[i] == '\n' && (i == 0 || content[i - 1] != '\r')) ||
        (content[i] == '\r' && (i + 1 == content.size() || content[i + 1] != '\n'))) {
      std::abort();
    }
  }
}

std::string run(std::string_view bytes, unsigned options, std::size_t cut) {
  AutoServer server(settings(options));
  for (std::size_t at = 0; at < bytes.size(); at += cut) {
    server.receive(bytes.substr(at, cut));
  }
  auto outcome = server.take_output();
  for (const auto& message : server.messages) {
    check(message.content);
    outcome += message.content;
    outcome += name(message.transaction.tls);
    if (message.transaction.tls == relay::smtp::MessageTls::required && (options & 2U) == 0) {
      std::abort();
    }
    if (message.transaction.recipients.empty()) {
      std::abort();
    }
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::string bytes(data + 1, data + size);
  const auto whole = run(bytes, data[0], bytes.size() + 1);
  if (whole != run(bytes, data[0], 1) || whole != run(bytes, data[0], 7)) {
    std::abort();
  }
  return 0;
}
