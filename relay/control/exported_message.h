// A message outside of any queue: its envelope as JSON, beside its content in a file of its own.
// Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "relay/net/clock.h"
#include "relay/net/expected.h"
#include "relay/spool/message.h"

namespace relay::control {

struct ExportedMessage {
  spool::Envelope envelope;
  net::WallTime exported_at{};
  std::uint32_t crc = 0;  ///< CRC-32 of the content

  /// The envelope as it enters another queue: its life goes on where the export stopped it. Its id
  /// is still to be given.
  [[nodiscard]] spool::Envelope envelope_at(net::WallTime now) const;
};

[[nodiscard]] std::string to_json_text(const ExportedMessage& message);
/// The error is a clause: "has no \"sender\"".
[[nodiscard]] Expected<ExportedMessage, std::string> parse_exported(std::string_view text);

}  // namespace relay::control
