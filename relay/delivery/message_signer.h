// DKIM signatures for messages that a worker sends on, made when the first session asks for them
// and kept for the next ones. Threading: one loop.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relay/message/dkim_signer.h"
#include "relay/net/clock.h"
#include "relay/spool/message.h"
#include "relay/spool/spool_reader.h"

namespace relay::delivery {

/// The keys that sign relayed mail; d= is the domain of From or one above it.
using SigningKeys = std::vector<message::DkimSigner>;

/// Those for this domain of an author: of the longest d= that is it or above it.
[[nodiscard]] SigningKeys keys_for(const SigningKeys& keys, std::string_view author_domain);

class MessageSigner {
 public:
  MessageSigner(spool::SpoolReader& reader, const net::Clock& clock,
                std::shared_ptr<const SigningKeys> keys)
      : reader_(reader), clock_(clock), keys_(std::move(keys)) {}
  MessageSigner(const MessageSigner&) = delete;
  MessageSigner& operator=(const MessageSigner&) = delete;
  ~MessageSigner() = default;

  void set_keys(std::shared_ptr<const SigningKeys> keys);
  /// The DKIM-Signature fields to put before the message, with CRLF; empty: none is due. Reads the
  /// message once, in slices.
  [[nodiscard]] std::string fields_for(const spool::Envelope& envelope);

 private:
  [[nodiscard]] std::string made_for(spool::MessageId id) const;

  spool::SpoolReader& reader_;
  const net::Clock& clock_;
  std::shared_ptr<const SigningKeys> keys_;
  std::list<std::pair<spool::MessageId, std::string>> made_;  ///< newest first
};

}  // namespace relay::delivery
