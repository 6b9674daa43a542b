// The reports of closed days (RFC 8460 §4.1): after midnight UTC and a grace each domain that mail
// went to is planned for its moment in the window; then its record is asked for again, the report
// rendered once and for all, and brought to its destinations; what is counted later is a further
// part. What is to be done is read from the spool, so that a restart goes on where the daemon was.
// Threading: one loop; what takes a processor long is done on a thread beside it.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/log.h"
#include "relay/net/clock.h"
#include "relay/net/dns_client.h"
#include "relay/net/event_loop.h"
#include "relay/net/https_client.h"
#include "relay/net/side_thread.h"
#include "relay/reporting/report_sender.h"
#include "relay/reporting/report_settings.h"
#include "relay/spool/spool.h"
#include "relay/spool/spool_reader.h"
#include "rpt/report.h"
#include "rpt/submission.h"

namespace relay::reporting {

/// What a domain's report of a day would be now.
struct Preview {
  rpt::Report report;
  std::vector<rpt::Destination> destinations;  ///< seen on that day, or set by the operator
  std::string withheld;                        ///< why it would not be sent; empty: it would
};

class Reporter {
 public:
  struct Parts {
    net::EventLoop& loop;
    const net::Clock& clock;
    spool::Spool& spool;
    Log& log;
    std::unique_ptr<spool::SpoolReader> reader;
    net::DnsClientOptions dns;
    net::HttpsClientOptions https;
    std::shared_ptr<const ReportSettings> settings;
  };
  explicit Reporter(Parts parts);
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;
  ~Reporter() = default;

  void begin();
  void reconfigure(std::shared_ptr<const ReportSettings> settings);
  /// Begins nothing more; what is under way is cut off and done again after the next start.
  void stop();
  /// Looks at once for what is due.
  void wake();
  /// Of the part that would be next; of the whole day where there is none. nullopt: nothing was
  /// counted.
  spool::Stored<std::optional<Preview>> preview(const spool::ReportKey& key);

 private:
  enum class State { idle, running, stopped };
  /// What became of a part's counts.
  struct Rendered {
    rpt::Tally tally;
    std::vector<rpt::Destination> destinations;
    std::string withheld;  ///< why there is no report; empty: there is
    spool::StoredReport report;
  };
  void tick();
  [[nodiscard]] bool paused() const;
  void pause(const std::string& what, const spool::StoreFault& fault);
  void plan();
  void plan(const std::vector<spool::ReportKey>& keys);
  void tidy();
  void start_due();
  void arm(std::optional<net::WallTime> next);
  void look_up(const spool::ReportKey& key);
  void answered(const spool::ReportKey& key, const rpt::RecordAnswer& answer);
  void decide(const spool::ReportKey& key, const rpt::Plan& plan);
  void render(const spool::ReportKey& key, const std::vector<rpt::Destination>& destinations);
  void take(const spool::ReportKey& key, Rendered made);
  void write_to_folder(spool::StoredReport report, rpt::Tally tally);
  void withdraw(const spool::ReportKey& key, const std::string& why);
  void withdraw(const spool::ReportKey& key, const std::string& why, rpt::Tally tally);
  void store(spool::StoredReport report, spool::ReportWrite write);
  void stored(const spool::StoredReport& report, const spool::Stored<void>& written);
  [[nodiscard]] std::string already_made(const spool::ReportKey& key) const;
  std::vector<rpt::Destination> seen_destinations(const spool::ReportKey& key);

  net::EventLoop& loop_;
  const net::Clock& clock_;
  spool::Spool& spool_;
  Log& log_;
  std::unique_ptr<spool::SpoolReader> reader_;
  std::shared_ptr<const ReportSettings> settings_;
  net::DnsClient dns_;
  net::HttpsClient https_;
  net::SideThread side_thread_{net::SideThread::Priority::idle};  ///< renders and signs
  ReportSender sender_;
  net::Timer wake_;
  bool woken_ = false;                                    ///< wake_ is to go off soon
  std::map<spool::ReportKey, net::Operation> under_way_;  ///< asked for, rendered or being stored
  std::optional<net::WallTime> planned_at_;               ///< when nothing was left to be planned
  std::optional<spool::ReportKey> planned_last_;          ///< of the days that are being planned
  std::size_t planned_count_ = 0;                         ///< of them
  std::chrono::sys_days planned_until_{};
  std::chrono::sys_days tidied_on_{};
  std::chrono::sys_days today_{};  ///< as the wall clock says
  net::SteadyTime today_since_{};  ///< when it began to say so
  std::optional<net::SteadyTime> paused_until_;
  bool planning_ = false, tidying_ = false;  ///< a write is on its way
  State state_ = State::idle;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace relay::reporting
