#include "relay/reception/clients.h"

#include <limits>
#include <map>
#include <utility>

namespace relay::reception {

Clients::Clients(const Parts& parts, const std::vector<spool::ClientHold>& stored)
    : loop_(parts.loop),
      clock_(parts.clock),
      spool_(parts.spool),
      log_(parts.log),
      counts_(stored) {}

std::optional<Standing> Clients::admit(std::string name, const SendingLimits& limits) {
  constexpr std::size_t kAny = std::numeric_limits<std::size_t>::max();
  constexpr const char* kAnyListener = "";
  auto place = connections_->take(name, {kAny, limits.connections == 0 ? kAny : limits.connections},
                                  kAnyListener);
  const std::lock_guard lock(mutex_);
  counts_.note_limits(name, limits, clock_.wall());
  if (std::holds_alternative<ConnectionCounts::Full>(place)) {
    ++connections_refused_;
    return std::nullopt;
  }
  return Standing{std::move(name), limits,
                  std::get<std::unique_ptr<ConnectionCounts::Place>>(std::move(place))};
}

smtp::ClientRoom Clients::room(const Standing& client) {
  const std::lock_guard lock(mutex_);
  auto room = counts_.room(client.name, client.limits, clock_.wall());
  if (!room.refusal.empty()) {
    ++messages_refused_;
  }
  return room;
}

void Clients::take(const Standing& client, std::size_t recipients,
                   const std::function<void(const Ruling&)>& store) {
  std::unique_lock lock(mutex_);
  const Ruling ruling = counts_.take(client.name, client.limits, recipients, clock_.wall());
  switch (ruling.what) {
    case Ruling::What::taken:
      lock.unlock();
      store(ruling);
      break;
    case Ruling::What::refused:
      lock.unlock();
      ++messages_refused_;
      store(ruling);
      break;
    case Ruling::What::held: {
      ++messages_held_;
      // A hold that the spool would not take is handed over again with the next message.
      const bool unsaved = unsaved_.erase(client.name) > 0;
      if (ruling.begun || unsaved) {
        save(counts_.holds().at(client.name));
      }
      // Under the lock: whoever releases the client finds the message on its way to the disk.
      store(ruling);
      lock.unlock();
      if (ruling.begun) {
        log_held(*ruling.begun);
      }
      break;
    }
  }
}

void Clients::give_back(const Standing& client, std::size_t recipients) {
  const std::lock_guard lock(mutex_);
  counts_.give_back(client.name, recipients);
}

void Clients::save(const spool::ClientHold& hold) {
  spool_.save_client_hold(hold, loop_, [this, name = hold.name](const spool::Stored<void>& stored) {
    saved(name, stored);
  });
}

void Clients::saved(const std::string& name, const spool::Stored<void>& stored) {
  if (stored) {
    return;
  }
  log_.error("store-failed", {{"client", name}, {"detail", stored.error().reason}});
  const std::lock_guard lock(mutex_);
  if (counts_.holds().contains(name)) {
    unsaved_.insert(name);
  }
}

void Clients::hold(const spool::ClientHold& hold, std::function<void(spool::Stored<void>)> done) {
  {
    // The spool is asked under the lock, as by take() and release(): what was decided last is
    // stored last.
    const std::lock_guard lock(mutex_);
    counts_.hold(hold);
    spool_.save_client_hold(hold, loop_, std::move(done));
  }
  log_held(hold);
}

void Clients::release(const std::string& name, const std::string& by,
                      std::function<void(spool::Stored<std::size_t>)> done) {
  bool was_held = false;
  {
    const std::lock_guard lock(mutex_);
    was_held = counts_.release(name);
    unsaved_.erase(name);
    spool_.remove_client_hold(
        name, loop_, [was_held, done = std::move(done)](const spool::Stored<std::size_t>& removed) {
          // One that the spool would not take was one, too.
          done(removed && was_held ? std::size_t{1} : removed);
        });
  }
  if (was_held) {
    log_.info("client-released", {{"client", name}, {"by", by}});
  }
}

void Clients::log_held(const spool::ClientHold& hold) {
  log_.warning("client-held",
               {{"client", hold.name},
                {"reason", hold.reason},
                {"by", hold.by},
                {"remedy",
                 "stsrelay queue list --held shows its mail, stsrelay clients release "
                 "lets it go"}});
}

std::vector<ClientState> Clients::states() const {
  std::map<std::string, ClientState> by_name;
  {
    const std::lock_guard lock(mutex_);
    for (ClientState& state : counts_.states(clock_.wall())) {
      by_name.emplace(state.name, std::move(state));
    }
    for (const auto& [name, hold] : counts_.holds()) {
      by_name[name].hold = hold;
    }
  }
  for (const auto& [name, count] : connections_->by_client()) {
    by_name[name].connections = count;
  }
  std::vector<ClientState> states;
  for (auto& [name, state] : by_name) {
    state.name = name;
    if (state.hold || state.connections + state.messages + state.recipients > 0) {
      states.push_back(std::move(state));
    }
  }
  return states;
}

std::vector<spool::ClientHold> Clients::holds() const {
  const std::lock_guard lock(mutex_);
  std::vector<spool::ClientHold> holds;
  for (const auto& [name, hold] : counts_.holds()) {
    holds.push_back(hold);
  }
  return holds;
}

Clients::Totals Clients::totals() const {
  return {messages_held_, messages_refused_, connections_refused_};
}

}  // namespace relay::reception
