#include "relay/cli/text_lookup.h"

#include <variant>

#include "relay/net/clock.h"
#include "relay/net/event_loop.h"
#include "relay/net/operation.h"

namespace relay::cli {
namespace {

TextAnswer text_answer(const net::DnsResult& result) {
  using State = TextAnswer::State;
  if (const auto* failure = std::get_if<net::DnsFailure>(&result)) {
    return {State::failed, {}, failure->reason};
  }
  const auto* answer = std::get_if<net::DnsAnswer>(&result);
  const auto* texts =
      answer == nullptr ? nullptr : std::get_if<std::vector<std::string>>(&answer->records);
  return texts == nullptr || texts->empty() ? TextAnswer{State::absent, {}, {}}
                                            : TextAnswer{State::found, *texts, {}};
}

}  // namespace

TextAnswers look_up_texts(const std::set<std::string>& names, net::DnsClientOptions options) {
  TextAnswers answers;
  if (names.empty()) {
    return answers;
  }
  net::EventLoop loop;
  const net::SystemClock clock;
  net::DnsClient dns(loop, clock, std::move(options));
  std::vector<net::Operation> operations;
  operations.reserve(names.size());
  for (const std::string& name : names) {
    operations.push_back(dns.query(name, net::DnsType::txt, net::DnsCacheUse::bypass,
                                   [&, name](const net::DnsResult& result) {
                                     answers[name] = text_answer(result);
                                     if (answers.size() == names.size()) {
                                       loop.stop();
                                     }
                                   }));
  }
  loop.run();
  return answers;
}

}  // namespace relay::cli
