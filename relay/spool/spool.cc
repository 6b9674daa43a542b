#include "relay/spool/spool.h"

#include <utility>

#include <fmt/format.h>

#include "relay/spool/database.h"
#include "relay/spool/directory.h"
#include "relay/spool/group_commit.h"
#include "relay/spool/id_source.h"
#include "relay/spool/incoming.h"
#include "relay/spool/request_queue.h"
#include "relay/spool/schema.h"
#include "relay/spool/writer.h"

namespace relay::spool {

struct Spool::State {
  State(std::unique_ptr<Directory> its_directory, std::uint64_t min_free, const net::Clock& clock,
        std::int64_t highest_id)
      : directory(std::move(its_directory)), min_free_bytes(min_free), ids(clock, highest_id) {}

  std::unique_ptr<Directory> directory;
  std::uint64_t min_free_bytes;
  IdSource ids;
  Occupancy occupancy;
  // Shared with messages being received, which may outlive the spool.
  std::shared_ptr<RequestQueue> queue = std::make_shared<RequestQueue>();
  std::unique_ptr<Writer> writer;  // last: its end must find the rest in place
};

namespace {

Unexpected<std::string> failure(const std::string& path, const std::string& what) {
  return Unexpected<std::string>(fmt::format("the queue {} {}", path, what));
}

Expected<std::unique_ptr<Database>, std::string> open_database(const std::string& path,
                                                               const std::string& vfs) {
  auto opened = Database::open(path, Database::Access::read_write, vfs);
  if (!opened) {
    return failure(path, "cannot be opened: " + opened.error().fault().reason);
  }
  auto database = std::make_unique<Database>(std::move(*opened));
  auto prepared = prepare_for_writing(*database);
  if (!prepared) {
    return failure(path, prepared.error());
  }
  return database;
}

/// Clears what an earlier run left behind. Answer: the highest id it may have given out.
Sql<std::int64_t> recover(Database& database) {
  auto messages = MessageStore::open(database);
  if (!messages) {
    return Unexpected<SqlError>(std::move(messages.error()));
  }
  auto transaction = Transaction::begin(database, Transaction::Access::write);
  if (!transaction) {
    return Unexpected<SqlError>(std::move(transaction.error()));
  }
  auto done = (*messages)->sweep_all();
  if (done) {
    done = (*transaction)->commit();
  }
  if (!done) {
    return Unexpected<SqlError>(std::move(done.error()));
  }
  return (*messages)->highest_id();
}

Sql<void> count_messages(Database& database, Occupancy& occupancy) {
  auto select = database.prepare("SELECT size, user, sender FROM messages");
  if (!select) {
    return passed_on(select.error());
  }
  return select->each([&](const Row& row) {
    occupancy.add(owner_of(row.text(1), row.text(2)), static_cast<std::uint64_t>(row.integer(0)));
  });
}

}  // namespace

Spool::Spool(std::unique_ptr<State> state) : state_(std::move(state)) {}
Spool::~Spool() = default;

Expected<std::unique_ptr<Spool>, std::string> Spool::open(const SpoolOptions& options,
                                                          const net::Clock& clock) {
  auto directory = Directory::open(options.directory, clock);
  if (!directory) {
    return Unexpected<std::string>(std::move(directory.error()));
  }
  const auto path = (*directory)->database_path();
  auto database = open_database(path, options.vfs);
  if (!database) {
    return Unexpected<std::string>(std::move(database.error()));
  }
  const auto highest_id = recover(**database);
  if (!highest_id) {
    return failure(path, "cannot be recovered: " + highest_id.error().fault().reason);
  }
  (*directory)->hold_reserve();
  const auto synced = (*directory)->sync();
  if (!synced) {
    return Unexpected<std::string>(synced.error());
  }
  auto state =
      std::make_unique<State>(std::move(*directory), options.min_free_bytes, clock, *highest_id);
  auto tables = GroupCommit::open(**database, state->ids);
  if (!tables) {
    return failure(path, "cannot be used: " + tables.error().fault().reason);
  }
  const auto counted = count_messages(**database, state->occupancy);
  if (!counted) {
    return failure(path, "cannot be read: " + counted.error().fault().reason);
  }
  state->writer =
      std::make_unique<Writer>(Writer::Parts{std::move(*database), std::move(*tables), state->queue,
                                             *state->directory, state->occupancy},
                               options);
  return std::unique_ptr<Spool>(new Spool(std::move(state)));
}

std::vector<std::string> Spool::warnings() const {
  return state_->directory->warnings();
}

void Spool::set_stored_observer(std::function<void(std::shared_ptr<const Envelope>)> observer) {
  state_->writer->set_stored_observer(std::move(observer));
}

MessageId Spool::new_id() {
  return state_->ids.next();
}

std::unique_ptr<IncomingMessage> Spool::receive(net::EventLoop& loop) {
  return std::make_unique<Incoming>(state_->queue, loop, new_id());
}

bool Spool::has_room_for(std::uint64_t octets) const {
  // Twice: the log first, the main file later.
  return !failed() && state_->directory->room_for(state_->min_free_bytes + 2 * octets);
}

bool Spool::failed() const {
  return state_->writer->failed();
}

void Spool::settle(Settlement settlement, net::EventLoop& loop,
                   std::function<void(Stored<void>)> done) {
  state_->queue->submit(Settle{std::move(settlement), loop, std::move(done)});
}

void Spool::count(std::vector<rpt::SessionResult> sessions) {
  state_->queue->submit(Count{std::move(sessions)});
}

void Spool::change(std::vector<MessageChange> changes, net::EventLoop& loop,
                   std::function<void(Stored<std::vector<std::size_t>>)> done) {
  state_->queue->submit(ChangeMessages{std::move(changes), loop, std::move(done)});
}

Occupancy::Totals Spool::occupancy(const std::string& owner) const {
  return state_->occupancy.totals(owner);
}

void Spool::save_pause(Pause pause, net::EventLoop& loop, std::function<void(Stored<void>)> done) {
  state_->queue->submit(SavePause{std::move(pause), loop, std::move(done)});
}

void Spool::remove_pause(Pause::Kind kind, std::string name, net::EventLoop& loop,
                         std::function<void(Stored<std::size_t>)> done) {
  state_->queue->submit(RemovePause{kind, std::move(name), loop, std::move(done)});
}

void Spool::save_client_hold(ClientHold hold, net::EventLoop& loop,
                             std::function<void(Stored<void>)> done) {
  state_->queue->submit(SaveClientHold{std::move(hold), loop, std::move(done)});
}

void Spool::remove_client_hold(std::string name, net::EventLoop& loop,
                               std::function<void(Stored<std::size_t>)> done) {
  state_->queue->submit(RemoveClientHold{std::move(name), loop, std::move(done)});
}

void Spool::save_policy(sts::CachedPolicy policy, PolicyWrite write) {
  state_->queue->submit(SavePolicy{std::move(policy), std::move(write)});
}

void Spool::forget_policy(std::string domain, PolicyWrite write) {
  state_->queue->submit(ForgetPolicy{std::move(domain), std::move(write)});
}

void Spool::save_trouble(PolicyTrouble trouble, net::WallTime at) {
  state_->queue->submit(SaveTrouble{std::move(trouble), at});
}

void Spool::purge_policies(net::WallTime now, net::EventLoop& loop,
                           std::function<void(Stored<std::size_t>)> done) {
  state_->queue->submit(PurgePolicies{now, loop, std::move(done), 0});
}

void Spool::save_override(PolicyOverride rule, net::EventLoop& loop,
                          std::function<void(Stored<void>)> done) {
  state_->queue->submit(SaveOverride{std::move(rule), loop, std::move(done)});
}

void Spool::remove_override(std::string domain, net::EventLoop& loop,
                            std::function<void(Stored<std::size_t>)> done) {
  state_->queue->submit(RemoveOverride{std::move(domain), loop, std::move(done), 0});
}

void Spool::write_report(ReportWrite write, net::EventLoop& loop,
                         std::function<void(Stored<void>)> done) {
  state_->queue->submit(WriteReport{std::move(write), loop, std::move(done)});
}

Spool::Statistics Spool::statistics() const {
  return state_->writer->statistics();
}

}  // namespace relay::spool
