#include "relay/spool/group_commit.h"

#include <string_view>
#include <utility>

#include "relay/spool/schema.h"

namespace relay::spool {

namespace {

// How far the ceiling on disk runs ahead of the ids: ten minutes, so that it is rarely written.
constexpr std::int64_t kCeilingLead = IdSource::kPerMillisecond * 1000 * 600;

}  // namespace

Sql<std::unique_ptr<GroupCommit>> GroupCommit::open(Database& database, const IdSource& ids) {
  std::unique_ptr<GroupCommit> group(new GroupCommit(database, ids));
  Sql<void> done;
  const auto open = [&]<class Store>(std::unique_ptr<Store>& into) {
    if (done) {
      auto store = Store::open(database);
      if (store) {
        into = std::move(*store);
      } else {
        done = Unexpected<SqlError>(std::move(store.error()));
      }
    }
  };
  open(group->messages_);
  open(group->policies_);
  open(group->troubles_);
  open(group->overrides_);
  open(group->results_);
  open(group->reports_);
  open(group->pauses_);
  open(group->client_holds_);
  if (!done) {
    return Unexpected<SqlError>(std::move(done.error()));
  }
  return group;
}

Sql<void> GroupCommit::commit(std::span<Request> group) {
  tallies_.clear();
  auto done = commit_all(group);
  if (!done) {
    results_->rolled_back();
  }
  return done;
}

Sql<void> GroupCommit::commit_all(std::span<Request> group) {
  auto transaction = Transaction::begin(database_, Transaction::Access::write);
  if (!transaction) {
    return Unexpected<SqlError>(std::move(transaction.error()));
  }
  auto done = apply_all(group);
  const auto last_id = ids_.last();  // no id in the group is greater
  const bool raise = last_id > id_ceiling_;
  if (done && raise) {
    done = messages_->save_id_ceiling(last_id + kCeilingLead);
  }
  if (done) {
    done = (*transaction)->commit();
  }
  if (done && raise) {
    id_ceiling_ = last_id + kCeilingLead;
  }
  return done;
}

Sql<void> GroupCommit::apply_all(std::span<Request> group) {
  for (auto& request : group) {
    auto applied = std::visit([this](auto& what) { return apply(what); }, request);
    if (!applied) {
      return applied;
    }
  }
  for (const auto& [day, tally] : tallies_) {
    auto added = results_->add(day, tally);
    if (!added) {
      return added;
    }
  }
  return {};
}

Sql<void> GroupCommit::apply(WriteSlice& request) {
  if (request.transfer->storage.fault) {
    return {};
  }
  const auto id = request.transfer->id;
  const auto& slice = request.slice;
  auto done = messages_->write_slice(id, slice.n, slice.octets, slice.crc);
  if (done && slice.n == 0) {
    done = messages_->mark_loose(id);
  }
  return done;
}

Sql<void> GroupCommit::apply(CommitMessage& request) {
  if (request.transfer->storage.fault) {
    return {};
  }
  const auto id = request.transfer->id;
  if (request.envelope->imported_id != MessageId(0)) {
    auto noted = messages_->note_import(*request.envelope);
    if (!noted) {
      return Unexpected<SqlError>(std::move(noted.error()));
    }
    request.already_there = !*noted;
    if (request.already_there) {
      return {};
    }
  }
  auto done = messages_->insert(*request.envelope, request.slices);
  if (done && request.last) {
    done = messages_->write_slice(id, request.last->n, request.last->octets, request.last->crc);
  }
  const bool small = !request.last || request.last->n == 0;
  if (done && (!small || request.slices > 1)) {
    done = messages_->bind_slices(id);
  }
  return done;
}

Sql<void> GroupCommit::apply(Settle& request) {
  const auto& settlement = request.settlement;
  bool known = settlement.updates.empty();
  for (const auto& update : settlement.updates) {
    auto done = messages_->update(settlement.id, update, settlement.at);
    if (!done) {
      return Unexpected<SqlError>(std::move(done.error()));
    }
    known = known || *done;
  }
  auto removed = messages_->remove_if_settled(settlement.id);
  if (!removed) {
    return Unexpected<SqlError>(std::move(removed.error()));
  }
  request.removed = std::move(*removed);
  // Of a message that the operator removed meanwhile nobody is told anything.
  request.notices_stored = known;
  for (const auto& notice : settlement.notices) {
    auto done = known ? store_notice(notice) : Sql<void>();
    if (!done) {
      return done;
    }
  }
  if (auto told = settle_delay(request); !told) {
    return told;
  }
  count(settlement.sessions);
  return settle_report(settlement);
}

// Several workers may find at the same time that a message is late.
Sql<void> GroupCommit::settle_delay(Settle& request) {
  const auto& notice = request.settlement.delay_notice;
  request.tells_delay = false;
  if (!notice || !request.notices_stored) {
    return {};
  }
  auto first = messages_->mark_delay_told(request.settlement.id);
  if (!first) {
    return Unexpected<SqlError>(std::move(first.error()));
  }
  request.tells_delay = *first;
  return *first ? store_notice(*notice) : Sql<void>{};
}

Sql<void> GroupCommit::settle_report(const Settlement& settlement) {
  if (!settlement.report) {
    return {};
  }
  return settlement.report->stage == rpt::Stage::handed_over
             ? reports_->mail_deferred(settlement.id, settlement.report->result)
             : reports_->mail_ended(settlement.id, *settlement.report);
}

Sql<void> GroupCommit::store_notice(const Notice& notice) {
  const auto id = notice.envelope.id;
  std::uint32_t slices = 0;
  for (std::string_view rest = notice.content; !rest.empty(); ++slices) {
    const auto octets = rest.substr(0, kSliceOctets);
    auto done = messages_->write_slice(id, slices, octets, crc_of(octets));
    if (!done) {
      return done;
    }
    rest.remove_prefix(octets.size());
  }
  return messages_->insert(notice.envelope, slices);
}

void GroupCommit::count(const std::vector<rpt::SessionResult>& sessions) {
  for (const auto& session : sessions) {
    tallies_[rpt::report_day(session)].add(session);
  }
}

Sql<void> GroupCommit::apply(Count& request) {
  count(request.sessions);
  return {};
}

Sql<void> GroupCommit::apply(ChangeMessages& request) {
  request.changed.clear();
  request.removed.clear();
  request.changed.reserve(request.changes.size());
  for (const auto& change : request.changes) {
    auto changed = messages_->change(change);
    if (!changed) {
      return Unexpected<SqlError>(std::move(changed.error()));
    }
    request.changed.push_back(*changed);
    if (change.kind == MessageChange::Kind::remove) {
      auto ended = end_removed(change, request);
      if (!ended) {
        return ended;
      }
    }
  }
  return {};
}

Sql<void> GroupCommit::end_removed(const MessageChange& change, ChangeMessages& request) {
  auto removed = messages_->remove_if_settled(change.id);
  if (!removed) {
    return Unexpected<SqlError>(std::move(removed.error()));
  }
  if (!*removed) {
    return {};
  }
  request.removed.push_back(std::move(**removed));
  auto forgotten = messages_->forget_import(change.id);
  if (!forgotten) {
    return forgotten;
  }
  return reports_->mail_ended(change.id, {rpt::Stage::refused, "removed by the operator"});
}

Sql<void> GroupCommit::apply(SavePause& request) {
  return pauses_->save(request.pause);
}

Sql<void> GroupCommit::apply(RemovePause& request) {
  auto removed = pauses_->remove(request.kind, request.name);
  if (!removed) {
    return Unexpected<SqlError>(std::move(removed.error()));
  }
  request.removed = static_cast<std::size_t>(*removed);
  return {};
}

Sql<void> GroupCommit::apply(SaveClientHold& request) {
  return client_holds_->save(request.hold);
}

Sql<void> GroupCommit::apply(RemoveClientHold& request) {
  auto removed = client_holds_->remove(request.name);
  if (!removed) {
    return Unexpected<SqlError>(std::move(removed.error()));
  }
  request.removed = static_cast<std::size_t>(*removed);
  return {};
}

Sql<void> GroupCommit::apply(SavePolicy& request) {
  auto done = policies_->save(request.policy, request.write);
  return done ? troubles_->remove(request.policy.domain) : done;
}

Sql<void> GroupCommit::apply(ForgetPolicy& request) {
  auto done = policies_->forget(request.domain, request.write);
  return done ? troubles_->remove(request.domain) : done;
}

Sql<void> GroupCommit::apply(SaveTrouble& request) {
  return troubles_->save(request.trouble, request.at);
}

Sql<void> GroupCommit::apply(PurgePolicies& request) {
  auto removed = policies_->purge(request.now);
  if (!removed) {
    return Unexpected<SqlError>(std::move(removed.error()));
  }
  request.removed = static_cast<std::size_t>(*removed);
  return {};
}

Sql<void> GroupCommit::apply(SaveOverride& request) {
  return overrides_->save(request.rule);
}

Sql<void> GroupCommit::apply(RemoveOverride& request) {
  auto removed = overrides_->remove(request.domain);
  if (!removed) {
    return Unexpected<SqlError>(std::move(removed.error()));
  }
  request.removed = static_cast<std::size_t>(*removed);
  return {};
}

Sql<void> GroupCommit::apply(WriteReport& request) {
  auto done = reports_->write(request.write);
  for (const auto& closed : request.write.closed) {
    if (done) {
      done = results_->close(closed.day, closed.tally);
    }
  }
  for (const auto& mail : request.write.mails) {
    if (done) {
      done = store_notice(mail);
    }
  }
  if (request.write.forget_before) {
    results_->policies_removed();
  }
  return done;
}

Sql<void> GroupCommit::apply(Sweep& request) {
  auto slices = request.slices;
  auto done = messages_->sweep(slices);
  if (done) {
    request.slices = slices;
  }
  return done;
}

Sql<void> GroupCommit::save_last_id() {
  auto transaction = Transaction::begin(database_, Transaction::Access::write);
  if (!transaction) {
    return Unexpected<SqlError>(std::move(transaction.error()));
  }
  auto done = messages_->save_id_ceiling(ids_.last());
  return done ? (*transaction)->commit() : done;
}

}  // namespace relay::spool
