// Command lines for the server's parsers: an address that is taken must survive being said again.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "relay/smtp/ascii.h"
#include "relay/smtp/command.h"

namespace {

using relay::smtp::Address;

void check(const Address& address) {
  const auto text = address.text();
  const auto again = relay::smtp::parse_mailbox(text);
  if (!again || again->text() != text || again->literal != address.literal ||
      std::any_of(text.begin(), text.end(), relay::smtp::is_control)) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string line(data, data + size);
  const auto command = relay::smtp::parse_command(line);
  const auto mail = relay::smtp::parse_mail(command.argument);
  if (mail && mail->sender) {
    check(*mail->sender);
  }
  const auto rcpt = relay::smtp::parse_rcpt(command.argument, relay::smtp::Utf8Allowed::yes);
  if (rcpt) {
    check(rcpt->recipient);
  }
  (void)relay::smtp::parse_bdat(command.argument);
  return 0;
}
