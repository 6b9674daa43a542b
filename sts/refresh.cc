#include "sts/refresh.h"

#include <algorithm>

namespace sts {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds kEarliest{hours{12}};
constexpr milliseconds kLatest{hours{30}};
constexpr milliseconds kCatchUp{hours{1}};
// Less is no refresh but a barrage.
constexpr milliseconds kShortestWait{seconds{1}};
constexpr hours kShortLife{1};
constexpr hours kWarnAfter{24};

milliseconds part_of(milliseconds whole, double random) {
  return milliseconds{static_cast<milliseconds::rep>(static_cast<double>(whole.count()) * random)};
}

}  // namespace

Time refresh_due(const CachedPolicy& policy, Time now, double random) {
  const milliseconds life = policy.policy.max_age;
  const milliseconds latest = std::min(kLatest, life / 2);
  const milliseconds earliest = std::min(kEarliest, life / 4);
  if (latest < kShortestWait) {
    return policy.expires_at;
  }
  const milliseconds wait = std::max(earliest + part_of(latest - earliest, random), kShortestWait);
  // A fetch in the future: the clock was set back.
  Time due = std::min(policy.fetched_at, now) + wait;
  if (due <= now) {
    const milliseconds left = std::max(policy.expires_at - now, milliseconds{0});
    due = now + part_of(std::min(kCatchUp, left / 2), random);
  }
  return std::min(due, policy.expires_at);
}

Time next_refresh(const CachedPolicy& policy, const FetchBackoff* backoff, Time now,
                  double random) {
  const Time due = refresh_due(policy, now, random);
  if (backoff == nullptr) {
    return due;
  }
  return std::min(backoff->fault ? backoff->retry_at : std::min(backoff->retry_at, due),
                  policy.expires_at);
}

bool worth_refreshing(const CachedPolicy& policy, Interest interest) {
  return interest == Interest::wanted || policy.policy.max_age >= kShortLife;
}

std::string_view name(Alert alert) {
  switch (alert) {
    case Alert::none:
      return "none";
    case Alert::info:
      return "info";
    case Alert::warning:
      return "warning";
    case Alert::error:
      return "error";
  }
  return "";
}

Alert alert_due(const FailingRefresh& failing, const CachedPolicy& policy, Time now) {
  if (policy.policy.mode == Mode::none) {
    return Alert::none;
  }
  Alert alert = Alert::info;
  if (now >= failing.since + (policy.expires_at - failing.since) / 2) {
    alert = Alert::error;
  } else if (now >= failing.since + kWarnAfter) {
    alert = Alert::warning;
  }
  return alert > failing.said ? alert : Alert::none;
}

}  // namespace sts
