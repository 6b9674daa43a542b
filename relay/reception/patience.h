// How long a client may take: its silence, its whole session and the pace of its message are
// bounded (RFC 5321 §4.5.3.2.7 and against clients that hold a place for nothing). Pure; time is
// an argument.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "conf/config.h"
#include "relay/net/clock.h"
#include "relay/smtp/server_session.h"

namespace relay::reception {

/// strained: the client may not relay, or connection places run out; silence is cut short.
enum class Load { normal, strained };

/// taken: connection places of all clients, of places in all; over 80 % is strain.
[[nodiscard]] Load load(smtp::Relaying client, std::size_t taken, std::size_t places);

class Patience {
 public:
  /// Longest silence under Load::strained.
  static constexpr std::chrono::milliseconds kStrainedSilence{10'000};
  /// The mean pace of a message counts only after this time.
  static constexpr std::chrono::milliseconds kRateGrace{30'000};

  Patience(const conf::Limits& limits, net::SteadyTime now);

  /// The session went on: a reply was said, or content came.
  void progress(net::SteadyTime now) { last_progress_ = now; }
  /// Message content is expected from now on, or still; octets are counted from here.
  void content_expected(net::SteadyTime now);
  void content_over() { content_start_.reset(); }
  void content(std::size_t octets) { content_octets_ += octets; }
  /// We read nothing for our own reasons: the client's pace is not judged meanwhile.
  void reading_stopped(net::SteadyTime now) { reading_stopped_ = now; }
  void reading_resumed(net::SteadyTime now);

  /// The limit that is overrun now, if any.
  [[nodiscard]] std::optional<smtp::Overrun> overrun(net::SteadyTime now, Load load) const;
  /// When to ask again, at the latest.
  [[nodiscard]] std::chrono::milliseconds next_look(net::SteadyTime now, Load load) const;

 private:
  [[nodiscard]] net::SteadyTime silence_end(Load load) const;
  [[nodiscard]] bool too_slow(net::SteadyTime now) const;

  std::chrono::milliseconds command_timeout_;
  std::uint64_t minimum_rate_;
  net::SteadyTime session_end_;
  net::SteadyTime last_progress_;
  std::optional<net::SteadyTime> content_start_;  // moved forward by the time we did not read
  std::optional<net::SteadyTime> reading_stopped_;
  std::uint64_t content_octets_ = 0;
};

}  // namespace relay::reception
