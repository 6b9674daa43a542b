// How much each client has sent of what it may, and whose mail is held. Clients that send nothing
// for a while are forgotten, so memory is bounded. Pure; time is an argument.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "conf/rate_bucket.h"
#include "relay/net/clock.h"
#include "relay/reception/sending_limits.h"
#include "relay/smtp/server_session.h"
#include "relay/spool/client_hold.h"

namespace relay::reception {

/// What becomes of a message.
struct Ruling {
  enum class What { taken, held, refused } what = What::taken;
  std::string reason;  ///< held: Envelope::held; refused: what the client is told
  std::optional<spool::ClientHold> begun{};  ///< the client's hold, if this message began it
};

/// What is known of a client, for operators.
struct ClientState {
  std::string name;
  std::size_t messages = 0, recipients = 0;  ///< that count now
  SendingLimits limits;                      ///< those that it last met with
  std::size_t connections = 0;
  std::optional<spool::ClientHold> hold{};
};

class ClientCounts {
 public:
  /// So many are remembered; then all are forgotten but those that are held.
  static constexpr std::size_t kMaxClients = 100'000;

  explicit ClientCounts(const std::vector<spool::ClientHold>& holds);

  /// What a client meets with now.
  void note_limits(const std::string& client, const SendingLimits& limits, net::WallTime now);
  /// What it may send before it is refused; where the excess is held, it never is.
  [[nodiscard]] smtp::ClientRoom room(const std::string& client, const SendingLimits& limits,
                                      net::WallTime now);
  /// Counts a message, unless it is refused. The first one over the limits begins a hold, if that
  /// is what they want.
  [[nodiscard]] Ruling take(const std::string& client, const SendingLimits& limits,
                            std::size_t recipients, net::WallTime now);
  /// A message that was taken could not be stored.
  void give_back(const std::string& client, std::size_t recipients);

  void hold(spool::ClientHold hold);
  /// The client's counts begin anew, too. Answer: whether it was held.
  bool release(const std::string& client);
  [[nodiscard]] const std::map<std::string, spool::ClientHold>& holds() const { return holds_; }
  /// All that are known, in no order, without connections.
  [[nodiscard]] std::vector<ClientState> states(net::WallTime now);

 private:
  struct Client {
    SendingLimits limits;
    std::optional<conf::RateBucket> messages{}, recipients{};
  };

  Client& find(const std::string& client, const SendingLimits& limits, net::WallTime now);
  void forget_idle(net::WallTime now);

  std::unordered_map<std::string, Client> clients_;
  std::size_t sweep_at_ = kMaxClients / 100;  // so many known: who is idle is looked for
  std::map<std::string, spool::ClientHold> holds_;
};

}  // namespace relay::reception
