#include "tests/relay/spool/fixture.h"

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <unistd.h>
#include <utility>

#include <doctest/doctest.h>
#include <sqlite3.h>

namespace relay::spool::testing {

namespace {

constexpr std::size_t kSlice = 64UL << 10;

}  // namespace

TemporaryDirectory::TemporaryDirectory(Place place) {
  std::filesystem::path parent = std::filesystem::temp_directory_path();
  if (place == Place::memory && ::access("/dev/shm", W_OK) == 0) {
    parent = "/dev/shm";
  }
  auto path = (parent / "spool_test_XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) {
    throw std::runtime_error("no temporary directory");
  }
  path_ = path;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

LoopThread::LoopThread() : thread_([this] { loop_.run(); }) {}

LoopThread::~LoopThread() {
  loop_.stop();
  thread_.join();
}

std::unique_ptr<Spool> open_spool(const SpoolOptions& options, const net::Clock& clock) {
  auto spool = Spool::open(options, clock);
  if (!spool) {
    FAIL(spool.error());
  }
  return std::move(*spool);
}

SpoolOptions options_for(const std::string& directory, const std::string& vfs) {
  SpoolOptions options;
  options.directory = directory;
  options.min_free_bytes = 1;
  options.vfs = vfs;
  return options;
}

std::unique_ptr<Spool> open_spool(const std::string& directory, const net::Clock& clock) {
  return open_spool(options_for(directory), clock);
}

std::unique_ptr<SpoolReader> open_reader(const std::string& directory) {
  auto reader = SpoolReader::open(directory);
  if (!reader) {
    FAIL(reader.error());
  }
  return std::move(*reader);
}

Envelope envelope_to(const std::vector<std::string>& domains) {
  Envelope envelope;
  envelope.sender = "sender@example.org";
  envelope.client_ip = "192.0.2.1";
  for (const auto& domain : domains) {
    Recipient recipient;
    recipient.index = static_cast<std::uint32_t>(envelope.recipients.size());
    recipient.address = "user" + std::to_string(recipient.index) + "@" + domain;
    recipient.domain = domain;
    envelope.recipients.push_back(std::move(recipient));
  }
  return envelope;
}

std::string content_of(MessageId id, std::size_t size) {
  std::string content;
  content.reserve(size + 1100);
  for (std::size_t block = 0; content.size() < size; ++block) {
    content += id.text() + " " + std::to_string(block);
    content.append(1000, 'x');
    content += "\r\n";
  }
  content.resize(size);
  return content;
}

std::size_t size_of(MessageId id) {
  const auto n = static_cast<std::size_t>(id.value());
  return n % 11 == 0 ? 3 * kSlice + n % 1000 : 200 + n % 9000;
}

void store_on_loop(Spool& spool, net::EventLoop& loop, Envelope envelope, std::size_t size,
                   std::function<void(MessageId, Stored<void>)> done) {
  std::shared_ptr<IncomingMessage> message = spool.receive(loop);
  const auto id = message->id();
  const auto content = content_of(id, size == 0 ? size_of(id) : size);
  for (std::size_t start = 0; start < content.size(); start += kSlice) {
    message->append(content.substr(start, kSlice));
  }
  envelope.id = id;
  envelope.size = content.size();
  message->commit(std::move(envelope), [message, id, done = std::move(done)](Stored<void> result) {
    done(id, std::move(result));
  });
}

MessageId store(Spool& spool, LoopThread& thread, const Envelope& envelope, std::size_t size) {
  return thread.ask<MessageId>([&](std::function<void(MessageId)> answer) {
    store_on_loop(
        spool, thread.loop(), envelope, size,
        [answer](MessageId id, const Stored<void>& result) { answer(result ? id : MessageId(0)); });
  });
}

std::vector<MessageId> store_many(Spool& spool, LoopThread& thread, std::size_t count) {
  auto ids = thread.ask<std::vector<MessageId>>([&](auto answer) {
    auto stored = std::make_shared<std::vector<MessageId>>();
    for (std::size_t n = 0; n < count; ++n) {
      store_on_loop(spool, thread.loop(), envelope_to({"example.com"}), 0,
                    [=](MessageId id, const Stored<void>& result) {
                      stored->push_back(result ? id : MessageId(0));
                      if (stored->size() == count) {
                        answer(*stored);
                      }
                    });
    }
  });
  for (const auto id : ids) {
    REQUIRE(id != MessageId(0));
  }
  return ids;
}

Stored<void> settle(Spool& spool, LoopThread& thread, const Settlement& settlement) {
  return thread.ask<Stored<void>>([&](std::function<void(Stored<void>)> answer) {
    spool.settle(settlement, thread.loop(), std::move(answer));
  });
}

std::string read_content(SpoolReader& reader, MessageId id) {
  std::string content;
  for (std::uint32_t n = 0;; ++n) {
    auto slice = reader.slice(id, n);
    if (!slice) {
      FAIL(slice.error().reason);
    }
    if (!*slice) {
      return content;
    }
    content += **slice;
  }
}

bool is_whole(SpoolReader& reader, MessageId id) {
  const auto envelope = reader.envelope(id, {});
  return envelope && *envelope && (*envelope)->sender == "sender@example.org" &&
         (*envelope)->recipients.size() == 1 &&
         read_content(reader, id) == content_of(id, size_of(id));
}

Settlement delivered(MessageId id) {
  Settlement settlement;
  settlement.id = id;
  settlement.updates = {{0, RecipientUpdate::Outcome::delivered, {}, "250 ok"}};
  settlement.sessions = {session("example.com")};
  return settlement;
}

rpt::SessionResult session(const std::string& domain) {
  rpt::PolicyResult result;
  result.policy = {rpt::PolicyType::sts,
                   {"version: STSv1", "mode: enforce", "mx: mx." + domain, "max_age: 86400"},
                   domain,
                   {"mx." + domain}};
  return {domain, session_day() + std::chrono::hours(7), {result}};
}

std::chrono::sys_days session_day() {
  return std::chrono::year(2026) / 2 / 3;
}

std::uint64_t sessions_counted(SpoolReader& reader) {
  const auto tally = reader.tally(session_day());
  if (!tally) {
    FAIL(tally.error().reason);
  }
  std::uint64_t sessions = 0;
  for (const auto& [key, counts] : tally->counts()) {
    sessions += counts.successful_sessions;
  }
  return sessions;
}

std::string run_sql(const std::string& database, const std::string& sql) {
  sqlite3* handle = nullptr;
  if (sqlite3_open(database.c_str(), &handle) != SQLITE_OK) {
    return "cannot open";
  }
  std::string answer;
  sqlite3_exec(
      handle, sql.c_str(),
      [](void* out, int, char** values, char**) {
        auto& text = *static_cast<std::string*>(out);
        if (text.empty() && values[0] != nullptr) {
          text = values[0];
        }
        return 0;
      },
      &answer, nullptr);
  sqlite3_close(handle);
  return answer;
}

std::vector<std::size_t> change(Spool& spool, LoopThread& thread,
                                const std::vector<MessageChange>& changes) {
  return thread
      .ask<Stored<std::vector<std::size_t>>>(
          [&](auto answer) { spool.change(changes, thread.loop(), answer); })
      .value_or(std::vector<std::size_t>{});
}

void forget_listeners(const std::string& database) {
  run_sql(database, "ALTER TABLE messages DROP COLUMN listener");
  run_sql(database, "PRAGMA user_version = 7");
}

void forget_client_holds(const std::string& database) {
  forget_listeners(database);
  run_sql(database, "DROP TABLE client_holds");
  run_sql(database, "PRAGMA user_version = 6");
}

void forget_queue_operations(const std::string& database) {
  forget_client_holds(database);
  run_sql(database, "DROP TABLE queue_pauses");
  run_sql(database, "DROP TABLE queue_imports");
  for (const char* column : {"messages DROP COLUMN priority", "messages DROP COLUMN user",
                             "messages DROP COLUMN held", "messages DROP COLUMN held_at",
                             "messages DROP COLUMN life_from", "recipients DROP COLUMN last_try"}) {
    run_sql(database, std::string("ALTER TABLE ") + column);
  }
  run_sql(database, "PRAGMA user_version = 5");
}

void forget_reports(const std::string& database) {
  forget_queue_operations(database);
  for (const char* table :
       {"report_records", "reports", "report_deliveries", "report_suppressions"}) {
    run_sql(database, std::string("DROP TABLE ") + table);
  }
  for (const char* column :
       {"session_counts DROP COLUMN closed_successful", "session_counts DROP COLUMN closed_failed",
        "failure_counts DROP COLUMN closed"}) {
    run_sql(database, std::string("ALTER TABLE ") + column);
  }
  run_sql(database, "PRAGMA user_version = 4");
}

}  // namespace relay::spool::testing
