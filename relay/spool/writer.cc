#include "relay/spool/writer.h"

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iterator>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "relay/spool/answers.h"

namespace relay::spool {

namespace {

// Readers can hold the log open; when it has grown to so many times its due size, they are waited
// for.
constexpr int kPatience = 4;
constexpr auto kQuiet = std::chrono::milliseconds(500);
// Free pages kept for the next burst, and how many are given back in one step.
constexpr std::int64_t kFreePagesKept = 1024;
constexpr int kPagesPerVacuum = 128;

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

bool is_intake(const Request& request) {
  return std::holds_alternative<WriteSlice>(request) ||
         std::holds_alternative<CommitMessage>(request);
}

bool records_delivery(const Request& request) {
  return std::holds_alternative<Settle>(request) || std::holds_alternative<Count>(request) ||
         std::holds_alternative<ChangeMessages>(request);
}

}  // namespace

Writer::Writer(Parts parts, const SpoolOptions& options)
    : database_(std::move(parts.database)),
      tables_(std::move(parts.tables)),
      queue_(std::move(parts.queue)),
      directory_(parts.directory),
      occupancy_(parts.occupancy),
      checkpoint_pages_(options.checkpoint_pages),
      restart_pages_(kPatience * checkpoint_pages_),
      // The first half of the room kept free is for what was being received when it ran short.
      least_room_(std::max<std::uint64_t>(options.min_free_bytes / 2, 1)),
      thread_([this] { run(); }) {}

Writer::~Writer() {
  queue_->close();
  thread_.join();
}

void Writer::set_stored_observer(std::function<void(std::shared_ptr<const Envelope>)> observer) {
  observer_ = std::move(observer);
}

Spool::Statistics Writer::statistics() const {
  Spool::Statistics all;
  all.commits = commits_;
  all.requests = requests_;
  all.messages_stored = messages_stored_;
  all.settlements = settlements_;
  commit_times_.add_to(all.commit_times);
  all.reports = reports_.totals();
  return all;
}

void Writer::run() {
  block_signals();
  pthread_setname_np(pthread_self(), "spool");
  bool untidy = true;
  while (true) {
    auto group = queue_->take(untidy ? std::optional(kQuiet) : std::nullopt);
    if (!group.empty()) {
      made_room_ = false;
      if (!failed_ && !directory_.room_for(least_room_)) {
        refuse_intake(group);
      }
      process(group);
      checkpoint_if_due();
      untidy = true;
    } else if (queue_->closed()) {
      break;
    } else {
      untidy = tidy();
    }
  }
  if (!failed_) {
    // An orderly end; without it the next start makes do with the ceiling and the log.
    static_cast<void>(tables_->save_last_id());
  }
}

void Writer::process(std::span<Request> group) {
  if (group.empty()) {
    return;
  }
  if (failed_) {
    answer_refused(group, failure_);
    return;
  }
  auto committed = commit(group);
  if (!committed && committed.error().disk_full() && !made_room_) {
    make_room();
    if (!failed_) {
      committed = commit(group);
    }
  }
  if (committed) {
    answer_stored(group);
    return;
  }
  if (committed.error().fatal()) {
    fail(committed.error());
  }
  if (failed_) {
    answer_refused(group, failure_);
  } else if (group.size() == 1 || committed.error().locked()) {
    // Another process's lock is no request's fault, and each part would wait for it anew.
    answer_refused(group, committed.error().fault());
  } else {
    // One request that cannot be stored must not take the others with it. On a full disk, what
    // frees room or must be recorded goes first.
    auto middle = std::stable_partition(group.begin(), group.end(), records_delivery);
    if (middle == group.begin() || middle == group.end()) {
      middle = group.begin() + static_cast<std::ptrdiff_t>(group.size() / 2);
    }
    const auto half = static_cast<std::size_t>(middle - group.begin());
    process(group.first(half));
    process(group.subspan(half));
  }
}

void Writer::refuse_intake(std::vector<Request>& group) {
  const auto intake = std::stable_partition(
      group.begin(), group.end(), [](const Request& request) { return !is_intake(request); });
  answer_refused({intake, group.end()},
                 {StoreFault::Kind::disk_full, "no room is left for new messages"});
  group.erase(intake, group.end());
}

Sql<void> Writer::commit(std::span<Request> group) {
  const auto start = std::chrono::steady_clock::now();
  auto committed = tables_->commit(group);
  if (committed) {
    commit_times_.count(std::chrono::steady_clock::now() - start);
    ++commits_;
    checkpointed_ = false;
  }
  return committed;
}

void Writer::make_room() {
  made_room_ = true;
  directory_.note_full();
  // A log that has been moved into the main file is written anew from its start.
  auto moved = database_->checkpoint(Database::Checkpoint::restart);
  if (!moved && moved.error().fatal()) {
    fail(moved.error());
  }
}

void Writer::answer_stored(std::span<Request> group) {
  Answers answers;
  for (auto& request : group) {
    count_reports(request);
    answers.stored(request);
  }
  requests_ += group.size();
  messages_stored_ += answers.messages().size();
  settlements_ += answers.settlements();
  for (const auto& removed : answers.removed()) {
    occupancy_.remove(removed.owner, removed.octets);
  }
  for (const auto& message : answers.messages()) {
    occupancy_.add(owner_of(message->user, message->sender), message->size);
    // Looked at only here: what carries no message may arrive while it is being set.
    if (observer_) {
      observer_(message);
    }
  }
  answers.post();
  for (const auto& slices : answers.take_loose()) {
    queue_->submit(Sweep{slices});
  }
}

void Writer::count_reports(const Request& request) {
  if (const auto* write = std::get_if<WriteReport>(&request)) {
    reports_.count(write->write);
  } else if (const auto* settle = std::get_if<Settle>(&request);
             settle != nullptr && settle->settlement.report) {
    reports_.count(*settle->settlement.report);
  }
}

void Writer::answer_refused(std::span<Request> group, const StoreFault& fault) {
  Answers answers;
  for (auto& request : group) {
    answers.refused(request, fault);
  }
  requests_ += group.size();
  answers.post();
  for (auto list : {answers.take_loose(), answers.take_postponed()}) {
    postponed_.insert(postponed_.end(), list.begin(), list.end());
  }
}

void Writer::fail(const SqlError& error) {
  // What reached the disk is unknown, and a second fsync would not say (it reports an error once),
  // so nothing more is written and nothing is retried.
  auto fault = error.fault();
  failure_ = {StoreFault::Kind::io_error,
              fmt::format("the spool failed and takes nothing until a restart: {}", fault.reason)};
  failed_ = true;
}

void Writer::checkpoint_if_due() {
  const int pages = database_->log_pages();
  if (failed_ || checkpointed_ || pages < checkpoint_pages_) {
    return;
  }
  // The log begins anew only at a moment without readers. A reader that stays, as an operator's own
  // sqlite3 session may, is waited for ever more rarely.
  const bool wait = pages >= restart_pages_;
  auto moved =
      database_->checkpoint(!wait ? Database::Checkpoint::passive : Database::Checkpoint::restart);
  if (!moved && moved.error().fatal()) {
    fail(moved.error());
  }
  checkpointed_ = moved && moved->checkpointed == moved->pages;
  if (checkpointed_) {
    restart_pages_ = kPatience * checkpoint_pages_;
  } else if (wait) {
    restart_pages_ = 2 * pages;
  }
}

/// Answer: whether there is more to do.
bool Writer::tidy() {
  if (failed_) {
    return false;
  }
  for (const auto& slices : std::exchange(postponed_, {})) {
    queue_->submit(Sweep{slices});
  }
  if (!checkpointed_) {
    auto moved = database_->checkpoint(Database::Checkpoint::passive);
    if (!moved && moved.error().fatal()) {
      fail(moved.error());
    }
    checkpointed_ = moved && moved->checkpointed == moved->pages;
    return true;
  }
  if (vacuum_some()) {
    return true;
  }
  directory_.hold_reserve();
  database_->release_memory();
  return false;
}

bool Writer::vacuum_some() {
  const auto free_pages = database_->integer("PRAGMA freelist_count");
  if (!free_pages || *free_pages <= kFreePagesKept) {
    return false;
  }
  auto done = database_->execute(fmt::format("PRAGMA incremental_vacuum({})", kPagesPerVacuum));
  if (!done && done.error().fatal()) {
    fail(done.error());
  }
  checkpointed_ = false;
  return done.has_value();
}

}  // namespace relay::spool
