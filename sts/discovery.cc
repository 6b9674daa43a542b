#include "sts/discovery.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "sts/record.h"
#include "sts/text.h"

namespace sts {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

constexpr minutes kFirstRetry{5};
constexpr minutes kLongestRetry{hours{6}};
// A publisher who changes the id with every answer gets one fetch a minute at most.
constexpr minutes kShortestInterval{1};
// When the old policy is served under a new id: looked at again after five minutes and one hour.
constexpr int kSecondLooks = 2;

minutes delay_after(const FetchBackoff& backoff) {
  if (!backoff.fault) {
    return backoff.failures <= 1 ? kFirstRetry : minutes{hours{1}} - kFirstRetry;
  }
  minutes delay = kFirstRetry;
  for (int i = 1; i < backoff.failures && delay < kLongestRetry; ++i) {
    delay *= 2;
  }
  return std::min(delay, kLongestRetry);
}

FetchBackoff backoff_from(std::string id, int failures, std::optional<DiscoveryFault> fault,
                          Time now, double jitter) {
  FetchBackoff backoff{std::move(id), now, failures, std::move(fault), now};
  const std::chrono::milliseconds delay = delay_after(backoff);
  // Never less: RFC 8461 §3.3 asks for five minutes at least.
  const auto longer = static_cast<double>(delay.count()) / 4 * jitter;
  backoff.retry_at += delay + std::chrono::milliseconds{static_cast<std::int64_t>(longer)};
  return backoff;
}

bool is_text_plain(std::string_view content_type) {
  constexpr std::string_view kExpected = "text/plain";
  std::string_view type = content_type.substr(0, content_type.find(';'));
  while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) {
    type.remove_suffix(1);
  }
  return std::equal(type.begin(), type.end(), kExpected.begin(), kExpected.end(),
                    [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a - 'A' + 'a' : a) == b; });
}

DiscoveryFault fetch_error(std::string reason) {
  return {DiscoveryFault::Kind::fetch_error, std::move(reason)};
}

// Why an answer holds no policy to parse. RFC 8461 §3.3: 200 only, redirects are not followed.
std::optional<DiscoveryFault> fault_of(const FetchResult& result) {
  if (const auto* failure = std::get_if<HttpFailure>(&result)) {
    return DiscoveryFault{failure->certificate ? DiscoveryFault::Kind::webpki_invalid
                                               : DiscoveryFault::Kind::fetch_error,
                          failure->reason};
  }
  const auto& answer = std::get<HttpAnswer>(result);
  if (answer.status != 200) {
    return fetch_error("http-" + std::to_string(answer.status));
  }
  if (!is_text_plain(answer.content_type)) {
    return fetch_error("media-type");
  }
  if (answer.body.size() > kMaxBody) {
    return fetch_error("policy-too-large");
  }
  return std::nullopt;
}

}  // namespace

Discovery::Discovery(std::string domain, std::shared_ptr<const CachedPolicy> cached,
                     const FetchBackoff* backoff, ToAscii to_ascii, Approach approach)
    : domain_(std::move(domain)),
      cached_(std::move(cached)),
      to_ascii_(std::move(to_ascii)),
      approach_(approach) {
  if (backoff != nullptr) {
    backoff_ = *backoff;
  }
}

DiscoveryStep Discovery::start() {
  return QueryRecord{"_mta-sts." + domain_};
}

DiscoveryStep Discovery::on_record(const RecordResult& result, Time now) {
  if (const auto* failure = std::get_if<RecordFailure>(&result)) {
    auto step = without_record("the TXT record could not be looked up: " + failure->reason, now);
    auto* verdict = std::get_if<PolicyVerdict>(&step);
    if (verdict == nullptr) {
      return step;
    }
    verdict->record_unknown = true;
    if (cached_ == nullptr && approach_.on_dns_failure == OnDnsFailure::defer) {
      verdict->hold =
          "whether " + domain_ + " has an MTA-STS policy is not known, because " + verdict->note;
    }
    return step;
  }
  const auto* answer = std::get_if<RecordAnswer>(&result);
  auto record = parse_records(answer != nullptr ? std::span{answer->records}
                                                : std::span<const std::string>{});
  if (!record) {
    return without_record("no valid TXT record: " + std::string{name(record.error())}, now);
  }
  id_ = std::move(record->id);
  return with_id(now);
}

DiscoveryStep Discovery::with_id(Time now) {
  switch (due(now)) {
    case Due::fetch:
      return FetchPolicy{"mta-sts." + domain_};
    case Due::back_off:
      return fall_back(backoff_->fault, "the policy is not fetched again yet");
    case Due::nothing:
      break;
  }
  return fall_back({}, "the id is unchanged");
}

// RFC 8461 §3.1, §5.1: without a valid record a cached policy stays in force. §10.2: it is
// refreshed all the same, or who blocks the record could keep it from being replaced.
DiscoveryStep Discovery::without_record(std::string why, Time now) {
  if (cached_ == nullptr ||
      (approach_.purpose != Purpose::refresh && approach_.purpose != Purpose::order)) {
    auto verdict = fall_back({}, std::move(why));
    if (cached_ != nullptr && cached_->policy.mode != Mode::none) {
      verdict.record_fault = verdict.note;
    }
    return verdict;
  }
  id_ = cached_->id;
  return with_id(now);
}

DiscoveryStep Discovery::on_policy(const FetchResult& result, Time now) {
  if (auto fault = fault_of(result)) {
    return failed(std::move(*fault), now);
  }
  auto parsed = parse_policy(std::get<HttpAnswer>(result).body, Strictness::tolerant, to_ascii_);
  PolicyVerdict verdict =
      parsed.policy ? replaced_by(std::move(*parsed.policy), now)
                    : failed({DiscoveryFault::Kind::policy_invalid, parsed.failure_code()}, now);
  verdict.diagnostics = std::move(parsed.diagnostics);
  return verdict;
}

PolicyVerdict Discovery::without_waiting() const {
  PolicyVerdict verdict =
      id_.empty() ? fall_back({}, "the TXT record takes too long to look up")
                  : fall_back(fetch_error("timeout"), "the policy takes too long to fetch");
  verdict.record_unknown = id_.empty();
  if (cached_ == nullptr && approach_.first_contact == FirstContact::hold) {
    verdict.hold = "the first MTA-STS policy of " + domain_ + " is awaited: " + verdict.note;
  }
  return verdict;
}

Discovery::Due Discovery::due(Time now) const {
  if (approach_.purpose == Purpose::order) {
    return Due::fetch;
  }
  const bool known = backoff_ && backoff_->id == id_;
  if (cached_ != nullptr && cached_->id == id_ && approach_.purpose == Purpose::delivery) {
    const bool second_look = known && !backoff_->fault && now >= backoff_->retry_at;
    return second_look ? Due::fetch : Due::nothing;
  }
  if (!backoff_ || !backoff_->fault) {
    return Due::fetch;
  }
  // A new id is tried at once (§10.3), but for the shortest interval. Before tried_at: the clock
  // was set back, and waiting might take for ever.
  const Time tried_at = backoff_->tried_at;
  const Time retry_at = known ? backoff_->retry_at : tried_at + kShortestInterval;
  return now >= retry_at || now < tried_at ? Due::fetch : Due::back_off;
}

PolicyVerdict Discovery::fall_back(std::optional<DiscoveryFault> fault, std::string note) const {
  PolicyVerdict verdict;
  verdict.policy = cached_;
  verdict.source = cached_ != nullptr ? PolicyVerdict::Source::cache : PolicyVerdict::Source::none;
  // RFC 8461 §8.3: whoever opted out is expected to take the policy host away.
  if (cached_ == nullptr || cached_->policy.mode != Mode::none) {
    verdict.fault = std::move(fault);
  }
  verdict.note = std::move(note);
  if (cached_ != nullptr) {
    verdict.note += "; the cached policy applies";
  }
  return verdict;
}

PolicyVerdict Discovery::failed(DiscoveryFault fault, Time now) const {
  const bool again = backoff_ && backoff_->id == id_ && backoff_->fault;
  PolicyVerdict verdict = fall_back(fault, "the policy could not be had: " + fault.reason);
  // §8.1: while a new id is rolled out its host may be down for a while, so that the second of two
  // looks at the old policy is not lost with the first.
  const bool look = backoff_ && backoff_->id == id_ && !backoff_->fault && cached_ != nullptr;
  if (look && backoff_->failures < kSecondLooks) {
    verdict.backoff =
        backoff_from(id_, backoff_->failures + 1, std::nullopt, now, approach_.jitter);
  } else {
    verdict.backoff = backoff_from(id_, again ? backoff_->failures + 1 : 1, std::move(fault), now,
                                   approach_.jitter);
  }
  return verdict;
}

PolicyVerdict Discovery::replaced_by(Policy policy, Time now) const {
  PolicyVerdict verdict;
  if (serves_old_policy(policy)) {
    const int looks = backoff_ && backoff_->id == id_ && !backoff_->fault ? backoff_->failures : 0;
    if (looks < kSecondLooks) {
      verdict.backoff = backoff_from(id_, looks + 1, std::nullopt, now, approach_.jitter);
    }
  }
  verdict.clear_backoff = !verdict.backoff;
  const bool unchanged =
      cached_ != nullptr && cached_->id == id_ && cached_->policy.body == policy.body;
  const Time expires_at = now + policy.max_age;
  auto fresh = std::make_shared<const CachedPolicy>(
      CachedPolicy{domain_, id_, std::move(policy), now, expires_at});
  // RFC 8461 §3.2: max_age 0 is used for this attempt and not kept; the old one is gone too.
  verdict.forget = expires_at <= now && cached_ != nullptr;
  verdict.store = expires_at > now ? fresh : nullptr;
  verdict.policy = std::move(fresh);
  verdict.source = PolicyVerdict::Source::fetched;
  verdict.note = unchanged ? "the policy was fetched and is unchanged" : "the policy was fetched";
  return verdict;
}

// Whether the answer is the one already cached although the id says it changed; or still is, on a
// second look.
bool Discovery::serves_old_policy(const Policy& policy) const {
  const bool second_look = backoff_ && backoff_->id == id_ && !backoff_->fault;
  return cached_ != nullptr && cached_->policy.body == policy.body &&
         (cached_->id != id_ || second_look);
}

void remember(PolicyCache& cache, std::string_view domain, const PolicyVerdict& verdict, Time now,
              FetchedFor fetched_for) {
  if (verdict.store != nullptr) {
    cache.store(verdict.store, now, fetched_for);
  }
  if (verdict.forget) {
    cache.forget(domain);
  }
  if (verdict.backoff) {
    cache.set_backoff(domain, *verdict.backoff);
  }
  if (verdict.clear_backoff) {
    cache.clear_backoff(domain);
  }
}

}  // namespace sts
