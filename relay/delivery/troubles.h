// What kept an attempt from delivering, and which of it decides the recipients' fate. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "relay/smtp/reply.h"

namespace relay::delivery {

/// Why a host, or the attempt as a whole, did not take the pending recipients.
struct Trouble {
  enum class Kind {
    temporary,
    policy,        ///< a TLS policy ruled the host or its session out
    requiretls,    ///< the sender's REQUIRETLS did (RFC 8689)
    host_missing,  ///< by what DNS says there is nothing to connect to
    unsuitable,    ///< the host cannot take this message (SIZE, 8BITMIME, SMTPUTF8)
  };
  Kind kind = Kind::temporary;
  std::string status, text, host, ip;
  std::optional<smtp::Reply> reply;
};

class Troubles {
 public:
  void add(Trouble trouble) { all_.push_back(std::move(trouble)); }
  void clear() { all_.clear(); }
  [[nodiscard]] bool any(Trouble::Kind kind) const;
  /// The kind of the newest one; nullopt: none yet.
  [[nodiscard]] std::optional<Trouble::Kind> newest() const;
  /// A policy failure explains most; then anything temporary, because it may pass. A permanent
  /// reason counts only if every host has one.
  [[nodiscard]] Trouble decisive() const;

 private:
  std::vector<Trouble> all_;
};

}  // namespace relay::delivery
