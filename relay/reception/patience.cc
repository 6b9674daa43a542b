#include "relay/reception/patience.h"

#include <algorithm>

namespace relay::reception {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLongestLook{10'000};

}  // namespace

Load load(smtp::Relaying client, std::size_t taken, std::size_t places) {
  const bool strained = client == smtp::Relaying::denied || taken * 5 > places * 4;
  return strained ? Load::strained : Load::normal;
}

Patience::Patience(const conf::Limits& limits, net::SteadyTime now)
    : command_timeout_(limits.command_timeout),
      minimum_rate_(limits.minimum_data_rate),
      session_end_(now + limits.session_timeout),
      last_progress_(now) {}

void Patience::content_expected(net::SteadyTime now) {
  if (!content_start_) {
    content_start_ = now;
    content_octets_ = 0;
  }
}

void Patience::reading_resumed(net::SteadyTime now) {
  if (content_start_ && reading_stopped_) {
    *content_start_ += now - std::max(*reading_stopped_, *content_start_);
  }
  reading_stopped_.reset();
}

net::SteadyTime Patience::silence_end(Load load) const {
  switch (load) {
    case Load::normal:
      return last_progress_ + command_timeout_;
    case Load::strained:
      return last_progress_ + std::min(command_timeout_, kStrainedSilence);
  }
  return last_progress_;
}

bool Patience::too_slow(net::SteadyTime now) const {
  if (!content_start_ || reading_stopped_) {
    return false;
  }
  const auto elapsed = now - *content_start_;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(elapsed).count();
  return elapsed > kRateGrace &&
         content_octets_ < minimum_rate_ * static_cast<std::uint64_t>(seconds);
}

std::optional<smtp::Overrun> Patience::overrun(net::SteadyTime now, Load load) const {
  if (now >= session_end_) {
    return smtp::Overrun::session;
  }
  if (now >= silence_end(load)) {
    return smtp::Overrun::silence;
  }
  return too_slow(now) ? std::optional(smtp::Overrun::rate) : std::nullopt;
}

milliseconds Patience::next_look(net::SteadyTime now, Load load) const {
  const auto left = std::min(silence_end(load), session_end_) - now;
  return std::clamp(std::chrono::ceil<milliseconds>(left), milliseconds(1), kLongestLook);
}

}  // namespace relay::reception
