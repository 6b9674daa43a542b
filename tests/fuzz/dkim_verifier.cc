// A key record in the first line, a message in the others: whatever they hold, no signature is good
// that was changed afterwards, and none is judged at all without a claim that stands.
#include "relay/message/dkim_verifier.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "relay/message/dkim_public_key.h"

namespace {

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

std::string with_crlf(std::string_view text) {
  std::string result;
  for (const char c : text) {
    result += c == '\n' ? std::string("\r\n") : std::string(1, c);
  }
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using relay::message::DkimResult;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view record = input.substr(0, input.find('\n'));
  const std::string message = with_crlf(input.substr(std::min(record.size() + 1, size)));
  const auto key = relay::message::DkimPublicKey::from_record(record);
  require(key ? !key->public_record().empty() : !key.error().empty());
  const auto claims = relay::message::dkim_claims(message, {});
  require(claims.size() <= relay::message::kMaxDkimClaims);
  for (auto claim : claims) {
    const auto verdict = relay::message::judge(claim, std::vector{std::string(record)});
    require((verdict.result == DkimResult::pass) == verdict.reason.empty());
    require(claim.fault.empty() || verdict.reason == claim.fault);
    if (verdict.result == DkimResult::pass) {
      claim.input += 'x';
      require(relay::message::judge(claim, std::vector{std::string(record)}).result ==
              DkimResult::fail);
    }
  }
  return 0;
}
