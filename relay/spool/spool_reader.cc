#include "relay/spool/spool_reader.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "relay/spool/client_hold_store.h"
#include "relay/spool/database.h"
#include "relay/spool/directory.h"
#include "relay/spool/message_row.h"
#include "relay/spool/message_store.h"
#include "relay/spool/override_store.h"
#include "relay/spool/pause_store.h"
#include "relay/spool/policy_store.h"
#include "relay/spool/report_row.h"
#include "relay/spool/result_store.h"
#include "relay/spool/schema.h"
#include "relay/spool/trouble_store.h"

namespace relay::spool {

struct SpoolReader::State {
  explicit State(Database its_database) : database(std::move(its_database)) {}
  Database database;
  Statement envelope, recipients, slice, slice_count, pending, list, totals;
};

namespace {

Unexpected<StoreFault> store_fault(const SqlError& error) {
  return Unexpected<StoreFault>(error.fault());
}

template <class T>
Stored<T> answer(Sql<T> read) {
  if (!read) {
    return store_fault(read.error());
  }
  return std::move(*read);
}

/// Gathers recipients, which come in order of message, into (message, domain) groups.
class PendingGroups {
 public:
  explicit PendingGroups(const std::function<void(PendingGroup)>& visit) : visit_(visit) {}

  void add(PendingGroup group) {
    if (!groups_.empty() && groups_.front().id != group.id) {
      flush();
    }
    auto place = std::find_if(groups_.begin(), groups_.end(),
                              [&](const auto& known) { return known.domain == group.domain; });
    if (place == groups_.end()) {
      groups_.push_back(std::move(group));
    } else {
      place->next_try = std::min(place->next_try, group.next_try);
    }
  }
  void flush() {
    for (auto& group : groups_) {
      visit_(std::move(group));
    }
    groups_.clear();
  }

 private:
  const std::function<void(PendingGroup)>& visit_;
  std::vector<PendingGroup> groups_;
};

}  // namespace

std::vector<PendingGroup> pending_groups(const Envelope& envelope) {
  std::vector<PendingGroup> found;
  if (!envelope.held.empty()) {
    return found;
  }
  const std::function<void(PendingGroup)> visit = [&found](PendingGroup group) {
    found.push_back(std::move(group));
  };
  PendingGroups groups(visit);
  for (const Recipient& recipient : envelope.recipients) {
    groups.add({envelope.id, recipient.domain, recipient.next_try, envelope.priority,
                owner_of(envelope.user, envelope.sender), envelope.sender, envelope.listener});
  }
  groups.flush();
  return found;
}

SpoolReader::SpoolReader(std::unique_ptr<State> state) : state_(std::move(state)) {}
SpoolReader::~SpoolReader() = default;

Expected<std::unique_ptr<SpoolReader>, std::string> SpoolReader::open(
    const std::string& directory) {
  const auto path = database_path(directory);
  const auto failed = [&](const std::string& what) {
    return Unexpected<std::string>(fmt::format("the queue {} {}", path, what));
  };
  auto database = Database::open(path, Database::Access::read_only);
  if (!database) {
    return failed("cannot be opened: " + database.error().fault().reason);
  }
  auto prepared = prepare_for_reading(*database);
  if (!prepared) {
    return failed(prepared.error());
  }
  auto state = std::make_unique<State>(std::move(*database));
  const std::string envelopes = fmt::format("SELECT {} FROM messages ", kEnvelopeColumns);
  const std::string recipients =
      fmt::format("SELECT {} FROM recipients WHERE key BETWEEN ?1 AND ?2 ", kRecipientColumns);
  auto done = state->database.prepare({
      {&state->envelope, envelopes + "WHERE id = ?1"},
      {&state->recipients, recipients + "AND (?3 = '' OR domain = ?3)"},
      {&state->slice, "SELECT crc, content FROM slices WHERE key = ?1"},
      {&state->slice_count, "SELECT slices FROM messages WHERE id = ?1"},
      {&state->pending,
       fmt::format(
           "SELECT r.key >> {0}, r.domain, r.next_try, m.priority, m.user, m.sender, m.listener "
           "FROM recipients r JOIN messages m ON m.id = r.key >> {0} "
           "WHERE m.held = '' ORDER BY r.key",
           kPositionBits)},
      {&state->list, envelopes + "WHERE id > ?1 ORDER BY id LIMIT ?2"},
      {&state->totals,
       "SELECT count(*), coalesce(sum(size), 0), min(received_at), "
       "(SELECT count(*) FROM recipients), coalesce(sum(held != ''), 0) FROM messages"},
  });
  if (!done) {
    return failed("cannot be read: " + done.error().fault().reason);
  }
  return std::unique_ptr<SpoolReader>(new SpoolReader(std::move(state)));
}

Stored<std::optional<Envelope>> SpoolReader::envelope(MessageId id, const std::string& domain) {
  const KeyRange keys(id);
  std::optional<Envelope> found;
  const auto transaction = Transaction::begin(state_->database, Transaction::Access::read);
  if (!transaction) {
    return store_fault(transaction.error());
  }
  auto done =
      state_->envelope.each([&](const Row& row) { found = read_envelope(row); }, id.value());
  if (done && found) {
    done = state_->recipients.each(
        [&](const Row& row) { found->recipients.push_back(read_recipient(row)); }, keys.first,
        keys.last, std::string_view(domain));
  }
  if (!done) {
    return store_fault(done.error());
  }
  return found;
}

Stored<std::optional<std::string>> SpoolReader::slice(MessageId id, std::uint32_t n) {
  const KeyRange keys(id);
  if (n > kMaxPosition || keys.last < keys.first) {
    return std::nullopt;
  }
  std::optional<std::string> content;
  bool sound = true;
  auto done = state_->slice.each(
      [&](const Row& row) {
        content = row.text(1);
        sound = row.integer(0) == crc_of(*content);
      },
      keys.first + n);
  if (!done) {
    return store_fault(done.error());
  }
  if (!content) {
    // Past the end; or a hole, or the message was removed under the reader: what was read so far
    // must not pass for the whole.
    sound = false;
    done =
        state_->slice_count.each([&](const Row& row) { sound = row.integer(0) <= n; }, id.value());
    if (!done) {
      return store_fault(done.error());
    }
  }
  if (!sound) {
    return Unexpected<StoreFault>(
        {StoreFault::Kind::io_error,
         fmt::format("message {}: slice {} is damaged or missing", id.text(), n)});
  }
  return content;
}

Stored<void> SpoolReader::each_pending(const std::function<void(PendingGroup)>& visit) {
  PendingGroups groups(visit);
  auto done = state_->pending.each([&](const Row& row) {
    groups.add({MessageId(row.integer(0)), std::string(row.text(1)), read_time(row.integer(2)),
                read_priority(row.integer(3)), owner_of(row.text(4), row.text(5)),
                std::string(row.text(5)), std::string(row.text(6))});
  });
  if (!done) {
    return store_fault(done.error());
  }
  groups.flush();
  return {};
}

Stored<void> SpoolReader::each_waiting(const std::function<void(const Waiting&)>& visit) {
  auto select = state_->database.prepare(
      fmt::format("SELECT r.domain, m.sender, m.received_at "
                  "FROM recipients r JOIN messages m ON m.id = r.key >> {}",
                  kPositionBits));
  if (!select) {
    return store_fault(select.error());
  }
  auto done = select->each([&](const Row& row) {
    visit({row.text(0), row.text(1), read_time(row.integer(2))});
  });
  if (!done) {
    return store_fault(done.error());
  }
  return {};
}

Stored<std::vector<Envelope>> SpoolReader::list(std::optional<MessageId> after, std::size_t limit) {
  std::vector<Envelope> envelopes;
  const auto transaction = Transaction::begin(state_->database, Transaction::Access::read);
  if (!transaction) {
    return store_fault(transaction.error());
  }
  auto done =
      state_->list.each([&](const Row& row) { envelopes.push_back(read_envelope(row)); },
                        after ? after->value() : std::int64_t{0}, static_cast<std::int64_t>(limit));
  for (auto& envelope : envelopes) {
    if (done) {
      const KeyRange keys(envelope.id);
      done = state_->recipients.each(
          [&](const Row& row) { envelope.recipients.push_back(read_recipient(row)); }, keys.first,
          keys.last, std::string_view());
    }
  }
  if (!done) {
    return store_fault(done.error());
  }
  return envelopes;
}

Stored<SpoolReader::Totals> SpoolReader::totals() {
  Totals totals;
  auto done = state_->totals.each([&](const Row& row) {
    totals.messages = static_cast<std::uint64_t>(row.integer(0));
    totals.octets = static_cast<std::uint64_t>(row.integer(1));
    totals.recipients = static_cast<std::uint64_t>(row.integer(3));
    totals.held = static_cast<std::uint64_t>(row.integer(4));
    if (totals.messages > 0) {
      totals.oldest = read_time(row.integer(2));
    }
  });
  if (!done) {
    return store_fault(done.error());
  }
  return totals;
}

Stored<void> SpoolReader::each_policy(const std::function<void(StoredPolicy)>& visit) {
  auto done = read_policies(state_->database, "", std::numeric_limits<std::size_t>::max(), visit);
  if (!done) {
    return store_fault(done.error());
  }
  return {};
}

Stored<void> SpoolReader::each_trouble(const std::function<void(PolicyTrouble)>& visit) {
  auto done = read_troubles(state_->database, visit);
  if (!done) {
    return store_fault(done.error());
  }
  return {};
}

Stored<std::vector<std::shared_ptr<const sts::CachedPolicy>>> SpoolReader::policies(
    const std::string& after, std::size_t limit) {
  std::vector<std::shared_ptr<const sts::CachedPolicy>> policies;
  auto done = read_policies(state_->database, after, limit, [&](StoredPolicy policy) {
    if (policy) {
      policies.push_back(std::move(*policy));
    }
  });
  if (!done) {
    return store_fault(done.error());
  }
  return policies;
}

Stored<std::shared_ptr<const sts::CachedPolicy>> SpoolReader::policy(const std::string& domain) {
  auto policy = read_policy(state_->database, domain);
  if (!policy) {
    return store_fault(policy.error());
  }
  return std::move(*policy);
}

Stored<std::vector<ReplacedPolicy>> SpoolReader::policy_history(const std::string& domain) {
  auto history = read_history(state_->database, domain);
  if (!history) {
    return store_fault(history.error());
  }
  return std::move(*history);
}

Stored<std::vector<PolicyOverride>> SpoolReader::overrides() {
  return answer(read_overrides(state_->database));
}

Stored<std::vector<Pause>> SpoolReader::pauses() {
  return answer(read_pauses(state_->database));
}

Stored<std::vector<ClientHold>> SpoolReader::client_holds() {
  return answer(read_client_holds(state_->database));
}

Stored<rpt::Tally> SpoolReader::tally(std::chrono::sys_days day) {
  return tally(day, "");
}

Stored<rpt::Tally> SpoolReader::tally(std::chrono::sys_days day, const std::string& domain) {
  return answer(read_tally(state_->database, {day, domain, TallyQuery::Counts::all}));
}

Stored<rpt::Tally> SpoolReader::unreported_tally(std::chrono::sys_days day,
                                                 const std::string& domain) {
  return answer(read_tally(state_->database, {day, domain, TallyQuery::Counts::unreported}));
}

Stored<std::vector<StoredReport>> SpoolReader::reports(const ReportQuery& query) {
  return answer(read_reports(state_->database, query));
}

Stored<std::optional<StoredReport>> SpoolReader::report(const ReportKey& key) {
  return answer(read_report(state_->database, key));
}

Stored<std::vector<ReportDelivery>> SpoolReader::report_deliveries(const ReportKey& key) {
  return answer(read_deliveries(state_->database, key));
}

Stored<DueReports> SpoolReader::due_reports(net::WallTime now, std::size_t limit) {
  return answer(read_due(state_->database, now, limit));
}

Stored<std::vector<ReportKey>> SpoolReader::unplanned_reports(const ReportKey& after,
                                                              std::chrono::sys_days end,
                                                              std::size_t limit) {
  return answer(read_unplanned(state_->database, after, end, limit));
}

Stored<std::vector<std::string>> SpoolReader::report_record(const ReportKey& key) {
  return answer(read_record(state_->database, key));
}

Stored<std::vector<std::string>> SpoolReader::queued_reports() {
  return answer(read_queued(state_->database));
}

Stored<std::vector<ReportSuppression>> SpoolReader::report_suppressions() {
  return answer(read_suppressions(state_->database));
}

Stored<std::optional<std::chrono::sys_days>> SpoolReader::first_report_day() {
  return answer(read_first_day(state_->database));
}

}  // namespace relay::spool
