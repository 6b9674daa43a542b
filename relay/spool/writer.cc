#include "relay/spool/writer.h"

#include <csignal>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "relay/spool/answers.h"

namespace relay::spool {

namespace {

// Pages that wait in the log before they are moved: many are overwritten or freed before.
constexpr int kPagesBeforeCheckpoint = 2000;
// Readers can hold the log open; then it is worth waiting for them.
constexpr int kPagesBeforeWaiting = 4 * kPagesBeforeCheckpoint;
constexpr auto kQuiet = std::chrono::milliseconds(500);
// Free pages kept for the next burst, and how many are given back in one step.
constexpr std::int64_t kFreePagesKept = 1024;
constexpr int kPagesPerVacuum = 128;

void block_signals() {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, nullptr);
}

}  // namespace

Writer::Writer(std::unique_ptr<Database> database, std::unique_ptr<GroupCommit> tables,
               std::shared_ptr<RequestQueue> queue, Directory& directory)
    : database_(std::move(database)),
      tables_(std::move(tables)),
      queue_(std::move(queue)),
      directory_(directory),
      thread_([this] { run(); }) {}

Writer::~Writer() {
  queue_->close();
  thread_.join();
}

void Writer::set_stored_observer(std::function<void(std::shared_ptr<const Envelope>)> observer) {
  observer_ = std::move(observer);
}

Spool::Statistics Writer::statistics() const {
  return {commits_, requests_, messages_stored_, settlements_};
}

void Writer::run() {
  block_signals();
  pthread_setname_np(pthread_self(), "spool");
  bool untidy = true;
  while (true) {
    auto group = queue_->take(untidy ? std::optional(kQuiet) : std::nullopt);
    if (!group.empty()) {
      made_room_ = false;
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
  if (failed_) {
    answer_refused(group, failure_);
    return;
  }
  auto committed = commit(group);
  if (!committed && committed.error().disk_full() && !made_room_) {
    make_room();
    committed = commit(group);
  }
  if (committed) {
    answer_stored(group);
  } else if (committed.error().fatal()) {
    fail(committed.error());
    answer_refused(group, failure_);
  } else if (group.size() == 1) {
    answer_refused(group, committed.error().fault());
  } else {
    // One request that cannot be stored must not take the others with it: on a full disk the
    // settlements, which free room, still get through.
    process(group.first(group.size() / 2));
    process(group.subspan(group.size() / 2));
  }
}

Sql<void> Writer::commit(std::span<Request> group) {
  auto committed = tables_->commit(group);
  if (committed) {
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
    answers.stored(request);
  }
  requests_ += group.size();
  messages_stored_ += answers.messages().size();
  settlements_ += answers.settlements();
  if (observer_) {
    for (const auto& message : answers.messages()) {
      observer_(message);
    }
  }
  answers.post();
  for (const auto& slices : answers.take_loose()) {
    queue_->submit(Sweep{slices});
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
  if (failed_ || checkpointed_ || pages < kPagesBeforeCheckpoint) {
    return;
  }
  auto moved = database_->checkpoint(pages < kPagesBeforeWaiting ? Database::Checkpoint::passive
                                                                 : Database::Checkpoint::restart);
  if (!moved && moved.error().fatal()) {
    fail(moved.error());
  }
  checkpointed_ = moved && moved->checkpointed == moved->pages;
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
