// Bytes from a server for smtp::ReplyParser: the cut must not matter, and what is shown is safe.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "relay/smtp/ascii.h"
#include "relay/smtp/extensions.h"
#include "relay/smtp/reply.h"

namespace {

using relay::smtp::Reply;
using relay::smtp::ReplyParser;

void check(const Reply& reply) {
  const auto text = reply.text();
  if (reply.code < 200 || reply.code > 599 || text.size() > 512) {
    std::abort();
  }
  for (const char c : text) {
    if (!relay::smtp::is_printable(c)) {
      std::abort();
    }
  }
  const auto code = reply.enhanced_code();
  if (!code.empty() && code.front() - '0' != reply.severity()) {
    std::abort();
  }
  (void)relay::smtp::Extensions::parse(reply);
}

std::string parse(std::string_view bytes, std::size_t cut) {
  ReplyParser parser;
  std::string seen;
  for (std::size_t at = 0; at < bytes.size(); at += cut) {
    auto piece = bytes.substr(at, cut);
    while (!piece.empty()) {
      const auto reply = parser.feed(piece);
      if (!reply) {
        return seen + "fault";
      }
      if (*reply) {
        check(**reply);
        seen += (**reply).text() + "\n";
      }
    }
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string bytes(data, data + size);
  if (parse(bytes, bytes.size() + 1) != parse(bytes, 1)) {
    std::abort();
  }
  return 0;
}
