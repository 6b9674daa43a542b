// The spool thread: takes groups of requests, commits each group in one transaction, answers them,
// and tidies the file when nothing arrives.
// Threading: the public part from any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "relay/net/duration_counts.h"
#include "relay/spool/database.h"
#include "relay/spool/directory.h"
#include "relay/spool/group_commit.h"
#include "relay/spool/id_source.h"
#include "relay/spool/occupancy.h"
#include "relay/spool/report_counts.h"
#include "relay/spool/request_queue.h"
#include "relay/spool/spool.h"

namespace relay::spool {

class Writer {
 public:
  /// What it works on; references outlive it.
  struct Parts {
    std::unique_ptr<Database> database;
    std::unique_ptr<GroupCommit> tables;
    std::shared_ptr<RequestQueue> queue;
    Directory& directory;
    Occupancy& occupancy;
  };
  Writer(Parts parts, const SpoolOptions& options);
  /// Commits what was handed over before, then closes the database.
  ~Writer();
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  /// Before the first message.
  void set_stored_observer(std::function<void(std::shared_ptr<const Envelope>)> observer);
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] Spool::Statistics statistics() const;

 private:
  void run();
  void process(std::span<Request> group);
  void refuse_intake(std::vector<Request>& group);
  Sql<void> commit(std::span<Request> group);
  void make_room();
  void answer_stored(std::span<Request> group);
  void count_reports(const Request& request);
  void answer_refused(std::span<Request> group, const StoreFault& fault);
  void fail(const SqlError& error);
  void checkpoint_if_due();
  bool tidy();
  bool vacuum_some();

  std::unique_ptr<Database> database_;
  std::unique_ptr<GroupCommit> tables_;
  std::shared_ptr<RequestQueue> queue_;
  Directory& directory_;
  Occupancy& occupancy_;
  const int checkpoint_pages_;
  int restart_pages_;  // so many in the log, and a checkpoint waits for readers
  const std::uint64_t least_room_;
  std::function<void(std::shared_ptr<const Envelope>)> observer_;
  std::vector<LooseSlices> postponed_;
  StoreFault failure_{};      // why nothing more is stored; once failed_
  bool made_room_ = false;    // for the group under way
  bool checkpointed_ = true;  // nothing in the log that a checkpoint would move
  std::atomic<bool> failed_ = false;
  std::atomic<std::uint64_t> commits_ = 0;
  net::DurationCounts commit_times_{net::kDiskDurations};
  ReportCounts reports_;
  std::atomic<std::uint64_t> requests_ = 0;
  std::atomic<std::uint64_t> messages_stored_ = 0;
  std::atomic<std::uint64_t> settlements_ = 0;
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace relay::spool
