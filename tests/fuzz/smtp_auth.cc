// The AUTH dialogue of ServerSession, inside TLS: the cut must not matter, and nothing is taken
// from a client without a verdict. The first octet chooses the verdict and whether AUTH is
// required.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "tests/support/auto_server.h"

namespace {

using relay::smtp::AuthVerdict;
using support::AutoServer;

AutoServer server(unsigned options) {
  relay::smtp::ServerSettings settings;
  settings.hostname = "relay.example";
  settings.relaying = relay::smtp::Relaying::denied;
  settings.security = relay::smtp::Security::tls;
  settings.authentication = (options & 4U) != 0 ? relay::smtp::Authentication::required
                                                : relay::smtp::Authentication::offered;
  AutoServer result(settings);
  result.verdict = static_cast<AuthVerdict>(options & 3U);
  result.receive("EHLO client.example\r\n");
  return result;
}

/// Everything that came of it.
std::string run(std::string_view bytes, unsigned options, std::size_t cut) {
  auto one = server(options);
  for (std::size_t at = 0; at < bytes.size(); at += cut) {
    one.receive(bytes.substr(at, cut));
  }
  auto outcome = one.take_output();
  for (const auto& rejection : one.session.take_rejections()) {
    outcome += rejection.stage + "|" + rejection.reply + "|" + rejection.end + "\n";
  }
  const bool accepted = !one.credentials.empty() && one.verdict == AuthVerdict::accepted;
  if (!one.messages.empty() && !accepted) {
    std::abort();
  }
  for (const auto& credentials : one.credentials) {
    outcome += "credentials " + credentials + "\n";
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
