#include "relay/reporting/report_sender.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "relay/reporting/rendering.h"

namespace relay::reporting {
namespace {

constexpr std::size_t kAtOnce = 20;
constexpr std::ptrdiff_t kAtOnceAtOneHost = 2;
// Mails in the queue, which has limits of its own to connections.
constexpr std::size_t kMailsAtOnce = 500;
constexpr std::ptrdiff_t kMailsAtOneDomain = 50;
/// What finds no place at its destination lets those to others pass; up to twice as long.
constexpr std::chrono::minutes kStepAside{2};

/// Where its limit is: the host, or the domain of the mailbox.
std::string place_of(const rpt::Destination& destination) {
  return destination.scheme == rpt::Scheme::https
             ? destination.host
             : destination.mailbox.substr(destination.mailbox.rfind('@') + 1);
}

std::chrono::sys_seconds seconds_of(net::WallTime time) {
  return std::chrono::floor<std::chrono::seconds>(time);
}

rpt::Delivery progress_of(const spool::ReportDelivery& delivery) {
  return {delivery.stage, delivery.attempts, seconds_of(delivery.first_attempt),
          seconds_of(delivery.next_attempt)};
}

void set_progress(spool::ReportDelivery& delivery, const rpt::Delivery& progress) {
  delivery.stage = progress.stage;
  delivery.attempts = progress.attempts;
  delivery.first_attempt = progress.first_attempt;
  delivery.next_attempt = progress.next_attempt;
}

bool is_over(rpt::Stage stage) {
  return stage == rpt::Stage::accepted || stage == rpt::Stage::refused ||
         stage == rpt::Stage::expired;
}

}  // namespace

ReportSender::ReportSender(Parts parts, std::function<void()> changed)
    : parts_(parts),
      poster_(parts.dns, parts.https),
      changed_(std::move(changed)),
      random_(std::random_device{}()) {}

void ReportSender::start(const std::vector<spool::ReportDelivery>& due,
                         const std::vector<spool::ReportSuppression>& suppressed,
                         const std::shared_ptr<const ReportSettings>& settings) {
  const net::WallTime now = parts_.clock.wall();
  if (!due.empty() && !count_mails()) {
    return;
  }
  std::vector<spool::ReportDelivery> without_place;
  for (const spool::ReportDelivery& delivery : due) {
    if (running_.contains({delivery.key, delivery.uri})) {
      continue;
    }
    const auto suppression =
        std::ranges::find(suppressed, delivery.uri, &spool::ReportSuppression::uri);
    auto destination = rpt::parse_destination(delivery.uri);
    if (!destination) {
      give_up(delivery, {}, destination.error());
    } else if (suppression != suppressed.end() && suppression->until > now) {
      give_up(delivery, std::move(*destination), "suppressed: " + suppression->why);
    } else if (!has_place(*destination)) {
      without_place.push_back(delivery);
    } else if (running_.size() < kAtOnce) {
      begin(delivery, std::move(*destination), settings);
    }
  }
  if (due.size() >= kDueLookedAt) {
    step_aside(std::move(without_place));
  }
}

bool ReportSender::count_mails() {
  const auto queued = parts_.reader.queued_reports();
  if (!queued) {
    parts_.log.error("report-store-failed", {{"detail", queued.error().reason}});
    return false;
  }
  mails_ = queued->size();
  mails_at_.clear();
  for (const std::string& uri : *queued) {
    if (const auto destination = rpt::parse_destination(uri)) {
      ++mails_at_[place_of(*destination)];
    }
  }
  // What is being written is not in the queue yet.
  for (const auto& [key, job] : running_) {
    if (job.delivery.message && job.delivery.stage == rpt::Stage::handed_over) {
      ++mails_;
      ++mails_at_[place_of(job.destination)];
    }
  }
  return true;
}

void ReportSender::step_aside(std::vector<spool::ReportDelivery> deliveries) {
  if (deliveries.empty() || stepping_aside_) {
    return;
  }
  spool::ReportWrite write;
  std::uniform_int_distribution<std::chrono::milliseconds::rep> pause(
      std::chrono::milliseconds(kStepAside).count(),
      std::chrono::milliseconds(2 * kStepAside).count());
  for (spool::ReportDelivery& delivery : deliveries) {
    delivery.next_attempt = parts_.clock.wall() + std::chrono::milliseconds(pause(random_));
    write.deliveries.push_back(std::move(delivery));
  }
  stepping_aside_ = true;
  parts_.spool.write_report(
      std::move(write), parts_.loop,
      [this, alive = std::weak_ptr<int>(alive_)](const spool::Stored<void>& /*stored*/) {
        if (!alive.expired()) {
          stepping_aside_ = false;
          changed_();
        }
      });
}

void ReportSender::stop() {
  alive_.reset();
  running_.clear();
}

bool ReportSender::has_place(const rpt::Destination& destination) const {
  const std::string place = place_of(destination);
  switch (destination.scheme) {
    case rpt::Scheme::mailto: {
      const auto mails = mails_at_.find(place);
      return mails_ < kMailsAtOnce &&
             (mails == mails_at_.end() || mails->second < kMailsAtOneDomain);
    }
    case rpt::Scheme::https:
      return std::ranges::count_if(running_, [&](const auto& entry) {
               return entry.second.destination.host == place;
             }) < kAtOnceAtOneHost;
  }
  return false;
}

void ReportSender::begin(const spool::ReportDelivery& delivery, rpt::Destination destination,
                         const std::shared_ptr<const ReportSettings>& settings) {
  auto report = parts_.reader.report(delivery.key);
  if (!report) {
    return log_fault(delivery.key, report.error());  // and looked at again later
  }
  if (!*report) {
    return give_up(delivery, std::move(destination), "the report is gone");
  }
  const auto place = running_.emplace(Key{delivery.key, delivery.uri},
                                      Job{delivery, std::move(destination), settings, {}});
  Job& job = place.first->second;
  switch (job.destination.scheme) {
    case rpt::Scheme::mailto:
      return mail(job, std::move(**report));
    case rpt::Scheme::https:
      return post(job, std::move((*report)->content));
  }
}

void ReportSender::log_fault(const spool::ReportKey& key, const spool::StoreFault& fault) {
  parts_.log.error("report-store-failed", {{"domain", key.domain}, {"detail", fault.reason}});
}

void ReportSender::give_up(spool::ReportDelivery delivery, rpt::Destination destination,
                           const std::string& why) {
  delivery.stage = rpt::Stage::refused;
  delivery.result = why;
  const Key key{delivery.key, delivery.uri};
  const auto place =
      running_.emplace(key, Job{std::move(delivery), std::move(destination), nullptr, {}});
  spool::ReportWrite write;
  write.deliveries.push_back(place.first->second.delivery);
  store(key, std::move(write), [this, key](Job& job) {
    log_delivery(job);
    finish(key);
  });
}

void ReportSender::mail(Job& job, spool::StoredReport report) {
  const net::WallTime now = parts_.clock.wall();
  MailFacts facts{parts_.spool.new_id(), now, job.destination.mailbox};
  spool::ReportDelivery& delivery = job.delivery;
  delivery.stage = rpt::Stage::handed_over;
  delivery.first_attempt = now;
  delivery.next_attempt = now;
  delivery.message = facts.id;
  ++mails_;
  ++mails_at_[place_of(job.destination)];
  job.work = parts_.side_thread.run(
      parts_.loop,
      [report = std::move(report), facts = std::move(facts), settings = job.settings] {
        return report_mail(report, facts, *settings);
      },
      [this, key = Key{delivery.key, delivery.uri}](spool::Notice made) {
        queue(key, std::move(made));
      });
}

void ReportSender::queue(const Key& key, spool::Notice mail) {
  // In one transaction: there is never a mail without this note, nor a note without its mail.
  spool::ReportWrite write;
  write.mails.push_back(std::move(mail));
  write.deliveries.push_back(running_.at(key).delivery);
  store(key, std::move(write), [this, key](Job& stored) {
    log_delivery(stored);
    finish(key);
  });
}

void ReportSender::post(Job& job, std::string content) {
  set_progress(job.delivery,
               rpt::attempted(progress_of(job.delivery), seconds_of(parts_.clock.wall())));
  spool::ReportWrite write;
  write.deliveries.push_back(job.delivery);
  const Key key{job.delivery.key, job.delivery.uri};
  store(key, std::move(write), [this, key, content = std::move(content)](Job& stored) {
    stored.work = poster_.post(stored.destination, content, stored.settings->private_addresses,
                               [this, key](const PostOutcome& outcome) { posted(key, outcome); });
  });
}

void ReportSender::posted(const Key& key, const PostOutcome& outcome) {
  Job& job = running_.at(key);
  const auto now = seconds_of(parts_.clock.wall());
  rpt::Answer answer;
  answer.verdict = outcome.verdict;
  answer.now = now;
  answer.retry_after = rpt::parse_retry_after(outcome.retry_after, now);
  answer.jitter = std::uniform_real_distribution<double>(0, 1)(random_);
  set_progress(job.delivery, rpt::answered(progress_of(job.delivery), answer));
  job.delivery.result = outcome.result;
  spool::ReportWrite write;
  write.deliveries.push_back(job.delivery);
  store(key, std::move(write), [this, key](Job& stored) {
    log_delivery(stored);
    finish(key);
  });
}

void ReportSender::store(const Key& key, spool::ReportWrite write, std::function<void(Job&)> then) {
  parts_.spool.write_report(std::move(write), parts_.loop,
                            [this, key, alive = std::weak_ptr<int>(alive_),
                             then = std::move(then)](const spool::Stored<void>& stored) {
                              if (alive.expired()) {
                                return;
                              }
                              const auto job = running_.find(key);
                              if (stored) {
                                return then(job->second);
                              }
                              // What is on disk says how far it is; it is looked at again later.
                              log_fault(key.first, stored.error());
                              running_.erase(job);
                            });
}

void ReportSender::finish(const Key& key) {
  running_.erase(key);
  changed_();
}

void ReportSender::log_delivery(const Job& job) {
  const spool::ReportDelivery& delivery = job.delivery;
  parts_.log.info(
      "report-delivery",
      {{"domain", delivery.key.domain},
       {"day", spool::day_text(delivery.key.day)},
       {"to", job.destination.uri},
       {"stage", std::string(rpt::name(delivery.stage))},
       {"id", delivery.message ? delivery.message->text() : ""},
       {"result", delivery.result},
       {"attempt", delivery.attempts > 0 ? std::to_string(delivery.attempts) : ""},
       {"next", is_over(delivery.stage) || delivery.message
                    ? ""
                    : fmt::format("+{}s", std::chrono::floor<std::chrono::seconds>(
                                              delivery.next_attempt - parts_.clock.wall())
                                              .count())}});
}

}  // namespace relay::reporting
