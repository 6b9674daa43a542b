// TXT records for commands that need no daemon: asks for a few names at once and waits.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "relay/net/dns_client.h"

namespace relay::cli {

struct TextAnswer {
  enum class State { found, absent, failed } state = State::absent;
  std::vector<std::string> texts;  ///< one per record
  std::string failure;             ///< "SERVFAIL", "timeout" …
};
using TextAnswers = std::map<std::string, TextAnswer>;

/// names: A-label text. Each gets an answer.
[[nodiscard]] TextAnswers look_up_texts(const std::set<std::string>& names,
                                        net::DnsClientOptions options);

}  // namespace relay::cli
