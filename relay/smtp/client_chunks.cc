// ClientSession's content by BDAT (RFC 3030), in place of DATA: chunks go out one after the other
// and are answered one by one; the last of them, which ends the message, as the final dot is.
#include <utility>

#include <fmt/format.h>

#include "relay/smtp/client_session.h"

namespace relay::smtp {

void ClientSession::begin_chunks() {
  ++next_command_;
  chunks_ = Chunks::sent;
  stuffer_ = DotStuffer(DotStuffer::Content::chunks);
  stage_ = Stage::body;
  demand_ = Demand::send_body;
}

/// last: "" or " LAST"; the answer to that one is awaited as the final dot's.
void ClientSession::send_chunk(std::string_view last) {
  output_.append(fmt::format("BDAT {}{}\r\n", chunk_.size(), last)).append(chunk_);
  chunk_.clear();
  if (last.empty()) {
    awaited_.push_back({Stage::body});
  }
}

void ClientSession::on_chunk(const Reply& reply) {
  if (reply.severity() == 2 || chunks_ == Chunks::refused) {
    if (chunks_ == Chunks::refused && awaited_.empty()) {
      finish_transaction();
    }
    return;
  }
  if (reply.severity() == 3) {
    fault("BDAT was answered with " + reply.text());
    return;
  }
  // RFC 3030 §2: the message is lost; what is under way of it is refused, too, up to RSET.
  decide_accepted({reply.severity() == 4 ? Disposition::deferred : Disposition::rejected,
                   Stage::body,
                   reply,
                   {},
                   reply.enhanced_code().empty() ? fmt::format("{}.0.0", reply.severity())
                                                 : reply.enhanced_code()});
  chunks_ = Chunks::refused;
  chunk_.clear();
  needs_rset_ = true;
  demand_ = Demand::read;
  if (awaited_.empty()) {
    finish_transaction();
  }
}

}  // namespace relay::smtp
