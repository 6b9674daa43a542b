// Brings rendered reports to their destinations (RFC 8460 §5.3 to §5.5): mail into our own queue,
// HTTPS by POST; so many at once in all, and so many at one host. Each step is stored before it is
// taken: after a crash there is one mail or none, and a POST is repeated with the same octets.
// Threading: one loop; mails are signed on a thread beside it.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "relay/log.h"
#include "relay/net/clock.h"
#include "relay/net/dns_client.h"
#include "relay/net/event_loop.h"
#include "relay/net/https_client.h"
#include "relay/net/side_thread.h"
#include "relay/reporting/report_post.h"
#include "relay/reporting/report_settings.h"
#include "relay/spool/spool.h"
#include "relay/spool/spool_reader.h"

namespace relay::reporting {

/// How much of what is due is looked at in one go.
inline constexpr std::size_t kDueLookedAt = 200;

class ReportSender {
 public:
  struct Parts {
    net::EventLoop& loop;
    const net::Clock& clock;
    spool::Spool& spool;
    spool::SpoolReader& reader;
    net::DnsClient& dns;
    net::HttpsClient& https;
    Log& log;
    net::SideThread& side_thread;  ///< where mails are signed
  };
  /// changed: a delivery got further, more may be due. Called from the loop.
  ReportSender(Parts parts, std::function<void()> changed);
  ReportSender(const ReportSender&) = delete;
  ReportSender& operator=(const ReportSender&) = delete;
  ~ReportSender() = default;

  /// Starts what is due and neither under way nor beyond a limit. suppressed: destinations that
  /// get nothing now.
  void start(const std::vector<spool::ReportDelivery>& due,
             const std::vector<spool::ReportSuppression>& suppressed,
             const std::shared_ptr<const ReportSettings>& settings);
  [[nodiscard]] std::size_t running() const { return running_.size(); }
  /// Nothing is begun or recorded any more.
  void stop();

 private:
  using Key = std::pair<spool::ReportKey, std::string>;
  struct Job {
    spool::ReportDelivery delivery;
    rpt::Destination destination;
    std::shared_ptr<const ReportSettings> settings;
    net::Operation work;  ///< what is waited for: the signature, or the answer to the POST
  };

  /// Whether its host, its mail domain or our queue has not got enough to do already.
  [[nodiscard]] bool has_place(const rpt::Destination& destination) const;
  bool count_mails();
  /// Those without a place become due later, so that others are seen.
  void step_aside(std::vector<spool::ReportDelivery> deliveries);
  void begin(const spool::ReportDelivery& delivery, rpt::Destination destination,
             const std::shared_ptr<const ReportSettings>& settings);
  void give_up(spool::ReportDelivery delivery, rpt::Destination destination,
               const std::string& why);
  void mail(Job& job, spool::StoredReport report);
  void queue(const Key& key, spool::Notice mail);
  void post(Job& job, std::string content);
  void posted(const Key& key, const PostOutcome& outcome);
  void store(const Key& key, spool::ReportWrite write, std::function<void(Job&)> then);
  void finish(const Key& key);
  void log_fault(const spool::ReportKey& key, const spool::StoreFault& fault);
  void log_delivery(const Job& job);

  Parts parts_;
  ReportPoster poster_;
  std::function<void()> changed_;
  std::map<Key, Job> running_;
  std::size_t mails_ = 0;                           ///< in the queue
  std::map<std::string, std::ptrdiff_t> mails_at_;  ///< by mail domain
  bool stepping_aside_ = false;                     ///< a write is on its way
  std::mt19937 random_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace relay::reporting
