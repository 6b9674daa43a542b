#include "relay/net/dns_inquiry.h"

#include <type_traits>
#include <utility>

#include <fmt/format.h>

namespace relay::net {

DnsInquiry::DnsInquiry(EventLoop& loop, const DnsLookupRules& rules, DnsAsk question, Callback done)
    : loop_(loop), rules_(rules), question_(std::move(question)), done_(std::move(done)) {
  ask();
}

void DnsInquiry::ask() {
  exchange_ = std::make_unique<DnsExchange>(loop_, rules_.resolvers[resolver_], question_,
                                            rules_.try_timeout,
                                            [this](DnsReply reply) { on_reply(std::move(reply)); });
}

void DnsInquiry::on_reply(DnsReply reply) {
  std::visit(
      [this](auto&& value) {
        using Value = std::decay_t<decltype(value)>;
        if constexpr (std::is_same_v<Value, DnsSilence>) {
          ++silences_;
          silent_in_round_ = true;
          ask_next();
        } else if constexpr (std::is_same_v<Value, DnsUnreachable>) {
          unreachable_ = std::move(value.reason);
          ask_next();
        } else if constexpr (std::is_same_v<Value, DnsFailure>) {
          refusal_ = std::move(value.reason);
          ask_next();
        } else {
          finish(std::forward<decltype(value)>(value));
        }
      },
      std::move(reply));
}

void DnsInquiry::ask_next() {
  if (++resolver_ < rules_.resolvers.size()) {
    return ask();
  }
  resolver_ = 0;
  // Only silence may be a lost datagram; whoever said no says no again.
  if (std::exchange(silent_in_round_, false) && ++round_ < rules_.rounds) {
    return ask();
  }
  if (!refusal_.empty()) {
    finish(DnsFailure{refusal_});
  } else if (silences_ > 0) {
    const std::chrono::duration<double> waited = rules_.try_timeout * silences_;
    finish(DnsFailure{fmt::format("timeout after {:g} s", waited.count())});
  } else {
    finish(DnsFailure{unreachable_});
  }
}

void DnsInquiry::finish(Reply reply) {
  const auto done = std::move(done_);
  done(std::move(reply));
}

}  // namespace relay::net
