#include "relay/reporting/reporter.h"

#include <algorithm>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "relay/reporting/destinations.h"
#include "relay/reporting/dry_run.h"
#include "relay/reporting/rendering.h"

namespace relay::reporting {
namespace {

constexpr std::size_t kLookupsAtOnce = 20;
// One commit, for which mail waits.
constexpr std::size_t kPlannedAtOnce = 20;
/// Reports of earlier days are too late for anyone.
constexpr std::chrono::days kReportedDays{3};
/// How long counts and reports are kept.
constexpr std::chrono::days kKeptDays{14};
constexpr std::chrono::hours kPlanAgain{1};
/// A clock that is years ahead for a moment makes nothing old.
constexpr std::chrono::minutes kClockTrusted{30};
constexpr std::chrono::seconds kLongestWait{30};
// Looking at what is due costs more than a report does: what ends meanwhile is looked at once.
constexpr std::chrono::milliseconds kBreath{10};
constexpr std::chrono::minutes kPause{1};

std::chrono::sys_days day_of(net::WallTime time) {
  return std::chrono::floor<std::chrono::days>(time);
}

std::chrono::seconds whole_seconds(conf::Duration duration) {
  return std::chrono::floor<std::chrono::seconds>(duration);
}

}  // namespace

Reporter::Reporter(Parts parts)
    : loop_(parts.loop),
      clock_(parts.clock),
      spool_(parts.spool),
      log_(parts.log),
      reader_(std::move(parts.reader)),
      settings_(std::move(parts.settings)),
      dns_(loop_, clock_, std::move(parts.dns)),
      https_(loop_, std::move(parts.https)),
      sender_({loop_, clock_, spool_, *reader_, dns_, https_, log_, side_thread_},
              [this] { wake(); }),
      wake_(loop_, [this] { tick(); }) {}

void Reporter::begin() {
  state_ = State::running;
  wake_.start(std::chrono::milliseconds(0));
}

void Reporter::reconfigure(std::shared_ptr<const ReportSettings> settings) {
  settings_ = std::move(settings);
  https_.renew_trust(settings_->revocation);
  planned_at_.reset();
  planned_last_.reset();
  wake();
}

void Reporter::stop() {
  state_ = State::stopped;
  alive_.reset();
  wake_.stop();
  under_way_.clear();
  sender_.stop();
}

void Reporter::wake() {
  if (state_ == State::running && !std::exchange(woken_, true)) {
    wake_.start(kBreath);
  }
}

void Reporter::tick() {
  woken_ = false;
  if (state_ != State::running || spool_.failed()) {
    return;
  }
  if (paused()) {
    return arm(std::nullopt);
  }
  tidy();
  if (!settings_->reports.enabled()) {
    return arm(std::nullopt);
  }
  plan();
  start_due();
}

bool Reporter::paused() const {
  return paused_until_ && clock_.steady() < *paused_until_;
}

void Reporter::pause(const std::string& what, const spool::StoreFault& fault) {
  paused_until_ = clock_.steady() + kPause;
  log_.error("reports-paused", {{"while", what}, {"detail", fault.reason}});
}

void Reporter::arm(std::optional<net::WallTime> next) {
  // Bounded, so that a step of the wall clock is noticed.
  const std::chrono::milliseconds longest = kLongestWait;
  const auto wait = next ? std::min(*next - clock_.wall(), longest) : longest;
  wake_.start(std::max(wait, std::chrono::milliseconds(1)));
}

void Reporter::plan() {
  const net::WallTime now = clock_.wall();
  const auto open = day_of(now - settings_->reports.grace);
  const bool fresh = planned_at_ && now >= *planned_at_ && now < *planned_at_ + kPlanAgain;
  if (planning_ || (fresh && open == planned_until_)) {
    return;
  }
  const auto keys = reader_->unplanned_reports(
      planned_last_.value_or(spool::ReportKey{open - kReportedDays, ""}), open, kPlannedAtOnce);
  if (!keys) {
    return pause("planning", keys.error());
  }
  if (keys->empty()) {
    planned_last_.reset();
    if (const std::size_t count = std::exchange(planned_count_, 0); count > 0) {
      log_.info("reports-planned", {{"count", std::to_string(count)}});
    }
    planned_at_ = now;
    planned_until_ = open;
    return;
  }
  plan(*keys);
}

void Reporter::plan(const std::vector<spool::ReportKey>& keys) {
  const auto opens = whole_seconds(settings_->reports.grace);
  const rpt::SendingWindow window{opens, opens + whole_seconds(settings_->reports.window)};
  spool::ReportWrite write;
  for (const spool::ReportKey& key : keys) {
    write.planned.push_back(
        {key, rpt::first_try(key.day, key.domain, settings_->reports.contact, window)});
  }
  planning_ = true;
  spool_.write_report(std::move(write), loop_,
                      [this, last = keys.back(), count = keys.size(),
                       alive = std::weak_ptr<int>(alive_)](const spool::Stored<void>& stored) {
                        if (alive.expired()) {
                          return;
                        }
                        planning_ = false;
                        if (!stored) {
                          return pause("planning", stored.error());
                        }
                        planned_last_ = last;
                        planned_count_ += count;
                        wake();
                      });
}

void Reporter::tidy() {
  const auto today = day_of(clock_.wall());
  if (today != today_) {
    today_ = today;
    today_since_ = clock_.steady();
  }
  if (tidying_ || tidied_on_ == today || clock_.steady() < today_since_ + kClockTrusted) {
    return;
  }
  const auto first = reader_->first_report_day();
  if (!first) {
    return pause("tidying", first.error());
  }
  if (!*first || **first >= today - kKeptDays) {
    tidied_on_ = today;
    return;
  }
  spool::ReportWrite write;
  write.forget_before = today - kKeptDays;
  write.forget_suppressions = clock_.wall();
  tidying_ = true;
  spool_.write_report(
      std::move(write), loop_,
      [this, alive = std::weak_ptr<int>(alive_)](const spool::Stored<void>& stored) {
        if (alive.expired()) {
          return;
        }
        tidying_ = false;
        if (!stored) {
          return pause("tidying", stored.error());
        }
        wake();
      });
}

void Reporter::start_due() {
  const auto due = reader_->due_reports(clock_.wall(), kDueLookedAt);
  const auto suppressions = reader_->report_suppressions();
  if (!due || !suppressions) {
    return pause("reading", due ? suppressions.error() : due.error());
  }
  for (const spool::ReportKey& key : due->planned) {
    if (under_way_.size() < kLookupsAtOnce && !under_way_.contains(key)) {
      look_up(key);
    }
  }
  sender_.start(due->deliveries, *suppressions, settings_);
  arm(due->next);
}

void Reporter::look_up(const spool::ReportKey& key) {
  net::Operation& operation = under_way_[key];
  const conf::ReportRule* const rule = settings_->rule_of(key.domain);
  if (rule != nullptr && !rule->send) {
    return withdraw(key, "off in the configuration");
  }
  if (rule != nullptr && !rule->rua.empty()) {
    return answered(key, rpt::Record{destinations_of(rule->rua), {}});
  }
  operation = dns_.query(
      "_smtp._tls." + key.domain, net::DnsType::txt, net::DnsCacheUse::allowed,
      [this, key](const net::DnsResult& answer) { answered(key, record_answer(answer)); });
}

std::vector<rpt::Destination> Reporter::seen_destinations(const spool::ReportKey& key) {
  const conf::ReportRule* const rule = settings_->rule_of(key.domain);
  if (rule != nullptr && !rule->rua.empty()) {
    return destinations_of(rule->rua);
  }
  return destinations_of(reader_->report_record(key).value_or(std::vector<std::string>{}));
}

void Reporter::answered(const spool::ReportKey& key, const rpt::RecordAnswer& answer) {
  const auto now = std::chrono::floor<std::chrono::seconds>(clock_.wall());
  decide(key, rpt::plan(seen_destinations(key), answer, {key.day, now}));
}

void Reporter::decide(const spool::ReportKey& key, const rpt::Plan& plan) {
  if (const auto* deliver = std::get_if<rpt::Deliver>(&plan)) {
    return render(key, deliver->destinations);
  }
  if (const auto* withdrawn = std::get_if<rpt::Withdrawn>(&plan)) {
    return withdraw(key, withdrawn->why);
  }
  spool::StoredReport report;
  report.key = key;
  report.due = std::get<rpt::Later>(plan).at;
  store(std::move(report), {});
}

void Reporter::render(const spool::ReportKey& key,
                      const std::vector<rpt::Destination>& destinations) {
  auto tally = reader_->unreported_tally(key.day, key.domain);
  if (!tally) {
    under_way_.erase(key);
    return pause("rendering", tally.error());
  }
  if (tally->counts().empty()) {
    return withdraw(key, "no sessions", {});
  }
  under_way_[key] = side_thread_.run(
      loop_,
      [key, destinations, settings = settings_, tally = std::move(*tally), now = clock_.wall()] {
        const rpt::Report report = make_report(tally, key, destinations, *settings);
        Rendered made{tally, destinations, withheld(report, *settings), {}};
        if (made.withheld.empty()) {
          made.report = rendered(report, key, now);
        }
        return made;
      },
      [this, key](Rendered made) { take(key, std::move(made)); });
}

void Reporter::take(const spool::ReportKey& key, Rendered made) {
  if (!made.withheld.empty()) {
    return withdraw(key, made.withheld, std::move(made.tally));
  }
  if (!settings_->reports.dry_run_folder.empty()) {
    return write_to_folder(std::move(made.report), std::move(made.tally));
  }
  spool::ReportWrite write;
  for (const rpt::Destination& destination : made.destinations) {
    spool::ReportDelivery delivery;
    delivery.key = key;
    delivery.uri = rpt::uri_with_credentials(destination);
    delivery.next_attempt = made.report.rendered_at;
    write.deliveries.push_back(std::move(delivery));
  }
  write.closed.push_back({key.day, std::move(made.tally)});
  store(std::move(made.report), std::move(write));
}

void Reporter::write_to_folder(spool::StoredReport report, rpt::Tally tally) {
  const auto written =
      write_file(settings_->reports.dry_run_folder, report.file_name, report.content);
  report.state = spool::ReportState::written;
  report.note = written ? *written : written.error();
  if (!written) {
    log_.error("report-dry-run", {{"domain", report.key.domain}, {"detail", written.error()}});
  }
  spool::ReportWrite write;
  write.closed.push_back({report.key.day, std::move(tally)});
  store(std::move(report), std::move(write));
}

void Reporter::withdraw(const spool::ReportKey& key, const std::string& why) {
  auto tally = reader_->unreported_tally(key.day, key.domain);
  if (!tally) {
    under_way_.erase(key);
    return pause("withdrawing", tally.error());
  }
  withdraw(key, why, std::move(*tally));
}

void Reporter::withdraw(const spool::ReportKey& key, const std::string& why, rpt::Tally tally) {
  spool::StoredReport report;
  report.key = key;
  report.state = spool::ReportState::withdrawn;
  report.due = clock_.wall();
  report.note = why;
  spool::ReportWrite write;
  write.closed.push_back({key.day, std::move(tally)});
  store(std::move(report), std::move(write));
}

void Reporter::store(spool::StoredReport report, spool::ReportWrite write) {
  write.reports.push_back(report);
  report.content.clear();
  spool_.write_report(std::move(write), loop_,
                      [this, report = std::move(report),
                       alive = std::weak_ptr<int>(alive_)](const spool::Stored<void>& written) {
                        if (!alive.expired()) {
                          stored(report, written);
                        }
                      });
}

void Reporter::stored(const spool::StoredReport& report, const spool::Stored<void>& written) {
  under_way_.erase(report.key);
  if (!written) {
    return pause("storing", written.error());
  }
  const bool withdrawn = report.state == spool::ReportState::withdrawn;
  log_.write(withdrawn ? conf::LogLevel::debug : conf::LogLevel::info, "report",
             {{"domain", report.key.domain},
              {"day", spool::day_text(report.key.day)},
              {"part", report.key.part > 1 ? std::to_string(report.key.part) : ""},
              {"state", std::string(spool::name(report.state))},
              {"report_id", report.id},
              {"detail", report.note}});
  wake();
}

std::string Reporter::already_made(const spool::ReportKey& key) const {
  const auto report = reader_->report(key);
  if (!report || !*report) {
    return "";
  }
  return (*report)->state == spool::ReportState::withdrawn
             ? "it was withdrawn: " + (*report)->note
             : "it was made, see `stsrelay report show`";
}

spool::Stored<std::optional<Preview>> Reporter::preview(const spool::ReportKey& key) {
  auto tally = reader_->unreported_tally(key.day, key.domain);
  std::string closed;
  if (tally && tally->counts().empty()) {
    tally = reader_->tally(key.day, key.domain);
    closed = already_made(key);
  }
  if (!tally) {
    return Unexpected<spool::StoreFault>(tally.error());
  }
  if (tally->counts().empty()) {
    return std::nullopt;
  }
  Preview preview;
  preview.destinations = seen_destinations(key);
  preview.report = make_report(*tally, key, preview.destinations, *settings_);
  preview.withheld = !closed.empty()                 ? closed
                     : !settings_->reports.enabled() ? "reports.contact is not set"
                     : preview.destinations.empty()
                         ? "no destination is known: no record was seen on that day"
                         : withheld(preview.report, *settings_);
  return preview;
}

}  // namespace relay::reporting
