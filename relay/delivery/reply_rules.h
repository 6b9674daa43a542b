// The operator's table of what refusals mean beside what their codes say. Pure.
#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include "conf/config.h"
#include "relay/smtp/client_session.h"
#include "relay/smtp/reply.h"

namespace relay::delivery {

/// Who said it.
struct Refuser {
  std::string_view host;    ///< MX host; empty: a bare address
  std::string_view domain;  ///< the recipients'
};

/// The first rule that fits a 4xx or 5xx reply; null: none does.
[[nodiscard]] const conf::ReplyRule* rule_for(const std::vector<conf::ReplyRule>& rules,
                                              const Refuser& who, const smtp::Reply& reply);

/// Has the result say what the rules make of it. Answer: how long the destination is to be left
/// alone.
std::chrono::milliseconds apply(const std::vector<conf::ReplyRule>& rules, const Refuser& who,
                                smtp::RecipientResult& result);

}  // namespace relay::delivery
