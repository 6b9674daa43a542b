#include "rpt/submission.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "rpt/hash.h"
#include "rpt/text.h"

namespace rpt {
namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

constexpr seconds kFirstPause = std::chrono::minutes{5};
constexpr seconds kLongestPause = std::chrono::hours{4};
constexpr seconds kRetryFor = std::chrono::hours{24};      // RFC 8460 §5.5
constexpr seconds kAskRecordFor = std::chrono::hours{48};  // from the end of the day
constexpr seconds kAskRecordEvery = std::chrono::hours{1};

constexpr std::array<std::string_view, 6> kStages = {"planned",  "rendered", "handed-over",
                                                     "accepted", "refused",  "expired"};

bool is_over(Stage stage) {
  return stage == Stage::accepted || stage == Stage::refused || stage == Stage::expired;
}

// A number of exactly the digits given; nullopt for anything else.
std::optional<int> small_number(std::string_view digits) {
  int value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, value);
  const bool good = error == std::errc{} && rest == end && is_digit(digits.front());
  return good ? std::optional{value} : std::nullopt;
}

// RFC 9110 §5.6.7 IMF-fixdate: "Sun, 06 Nov 1994 08:49:37 GMT"; the day's name is not looked at.
std::optional<sys_seconds> parse_fixdate(std::string_view text) {
  constexpr std::string_view kShape = "___, __ ___ ____ __:__:__ GMT";
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (text.size() != kShape.size()) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (kShape[i] != '_' && kShape[i] != text[i]) {
      return std::nullopt;
    }
  }
  const auto day = small_number(text.substr(5, 2));
  const auto month = kMonths.find(text.substr(8, 3));
  const auto year = small_number(text.substr(12, 4));
  const auto hour = small_number(text.substr(17, 2));
  const auto minute = small_number(text.substr(20, 2));
  const auto second = small_number(text.substr(23, 2));
  if (!day || !year || !hour || !minute || !second || month == std::string_view::npos ||
      month % 3 != 0 || *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  const std::chrono::year_month_day date{std::chrono::year{*year},
                                         std::chrono::month{static_cast<unsigned>(month / 3 + 1)},
                                         std::chrono::day{static_cast<unsigned>(*day)}};
  if (!date.ok()) {
    return std::nullopt;
  }
  return std::chrono::sys_days{date} + std::chrono::hours{*hour} + std::chrono::minutes{*minute} +
         seconds{*second};
}

Plan plan_without_answer(const std::vector<Destination>& stored, const Planning& planning) {
  if (!stored.empty()) {
    return Deliver{stored};
  }
  const sys_seconds end = planning.day + std::chrono::days{1} + kAskRecordFor;
  if (planning.now >= end) {
    return Withdrawn{"lookup-failed"};
  }
  return Later{std::min(planning.now + kAskRecordEvery, end)};
}

}  // namespace

sys_seconds first_try(std::chrono::sys_days day, std::string_view domain, std::string_view key,
                      const SendingWindow& window) {
  const sys_seconds opens = day + std::chrono::days{1} + window.opens;
  const auto length =
      static_cast<std::uint64_t>(std::max(window.closes - window.opens, seconds{1}).count());
  const std::uint64_t offset = StableHash{}.add(domain).add(key).value() % length;
  return opens + seconds{static_cast<seconds::rep>(offset)};
}

Plan plan(const std::vector<Destination>& stored, const RecordAnswer& answer,
          const Planning& planning) {
  if (const auto* fault = std::get_if<RecordFault>(&answer)) {
    return Withdrawn{"record-" + std::string{name(*fault)}};
  }
  if (const auto* record = std::get_if<Record>(&answer)) {
    if (record->destinations.empty()) {
      return Withdrawn{"no-usable-destination"};
    }
    return Deliver{record->destinations};
  }
  return plan_without_answer(stored, planning);
}

HttpVerdict judge_http(int status) {
  constexpr int kRequestTimeout = 408;
  constexpr int kTooEarly = 425;
  constexpr int kTooManyRequests = 429;
  if (status >= 200 && status < 300) {
    return HttpVerdict::accepted;
  }
  const bool passing =
      status == kRequestTimeout || status == kTooEarly || status == kTooManyRequests;
  return status >= 300 && status < 500 && !passing ? HttpVerdict::permanent : HttpVerdict::retry;
}

std::optional<seconds> parse_retry_after(std::string_view value, sys_seconds now) {
  constexpr int kMaxDigits = 9;
  if (!value.empty() && std::all_of(value.begin(), value.end(), is_digit)) {
    // A longer number means "never" as well as the largest one here.
    return seconds{value.size() > kMaxDigits ? 999'999'999 : *small_number(value)};
  }
  const auto date = parse_fixdate(value);
  return date ? std::optional{std::max(*date - now, seconds{0})} : std::nullopt;
}

std::optional<sys_seconds> next_try(const Retry& retry) {
  const sys_seconds last = retry.first_attempt + kRetryFor;
  if (retry.now >= last) {
    return std::nullopt;
  }
  seconds pause = kFirstPause;
  for (int i = 1; i < retry.attempts && pause < kLongestPause; ++i) {
    pause *= 2;
  }
  pause = std::min(pause, kLongestPause);
  const double jitter = std::clamp(retry.jitter, 0.0, 1.0);
  pause += seconds{std::lround(jitter * static_cast<double>(pause.count()) / 4)};
  const seconds asked = retry.retry_after.value_or(seconds{0});
  if (asked > last - retry.now) {
    return std::nullopt;
  }
  return std::min(retry.now + std::max(pause, asked), last);
}

std::string_view name(Stage stage) {
  return kStages.at(static_cast<std::size_t>(stage));
}

std::optional<Stage> parse_stage(std::string_view name) {
  const auto* const found = std::find(kStages.begin(), kStages.end(), name);
  return found == kStages.end() ? std::nullopt
                                : std::optional{static_cast<Stage>(found - kStages.begin())};
}

Delivery attempted(Delivery delivery, sys_seconds now) {
  if (delivery.attempts == 0) {
    delivery.first_attempt = now;
  }
  ++delivery.attempts;
  delivery.stage = Stage::handed_over;
  delivery.next_attempt = now;
  return delivery;
}

Delivery answered(Delivery delivery, const Answer& answer) {
  switch (answer.verdict) {
    case HttpVerdict::accepted:
      delivery.stage = Stage::accepted;
      return delivery;
    case HttpVerdict::permanent:
      delivery.stage = Stage::refused;
      return delivery;
    case HttpVerdict::retry:
      break;
  }
  const auto next = next_try(
      {delivery.first_attempt, delivery.attempts, answer.now, answer.retry_after, answer.jitter});
  if (next) {
    delivery.stage = Stage::rendered;
    delivery.next_attempt = *next;
  } else {
    delivery.stage = Stage::expired;
  }
  return delivery;
}

std::string_view name(ReportState state) {
  switch (state) {
    case ReportState::pending:
      return "pending";
    case ReportState::delivered:
      return "delivered";
    case ReportState::given_up:
      return "given-up";
  }
  return "";
}

ReportState report_state(std::span<const Delivery> deliveries) {
  const auto is_accepted = [](const Delivery& each) { return each.stage == Stage::accepted; };
  if (std::any_of(deliveries.begin(), deliveries.end(), is_accepted)) {
    return ReportState::delivered;
  }
  const bool over = std::all_of(deliveries.begin(), deliveries.end(),
                                [](const Delivery& each) { return is_over(each.stage); });
  return over ? ReportState::given_up : ReportState::pending;
}

}  // namespace rpt
