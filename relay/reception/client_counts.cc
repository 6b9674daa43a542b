#include "relay/reception/client_counts.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace relay::reception {
namespace {

using Bucket = std::optional<conf::RateBucket>;

/// By the rate of a limit, of which all may come at once. Where a listener has none, what another
/// one of them counts goes on by the rate that it has.
void refill(Bucket& bucket, const std::optional<conf::Rate>& rate, net::WallTime now) {
  if (bucket) {
    const conf::Rate now_valid = rate.value_or(bucket->rate());
    bucket->refill(now_valid, now_valid.count, now);
  } else if (rate) {
    bucket.emplace(*rate, rate->count, now);
  }
}

void charge(Bucket& bucket, std::size_t count) {
  if (bucket) {
    bucket->charge(count);
  }
}

void give_back(Bucket& bucket, std::size_t count) {
  if (bucket) {
    bucket->give_back(count);
  }
}

std::size_t used(const Bucket& bucket) {
  return bucket ? bucket->used() : 0;
}

std::string refusal(const conf::Rate& rate, std::string_view noun) {
  return fmt::format("No more than {} from you: try again later", conf::in_words(rate, noun));
}

}  // namespace

ClientCounts::ClientCounts(const std::vector<spool::ClientHold>& holds) {
  for (const spool::ClientHold& hold : holds) {
    holds_.emplace(hold.name, hold);
  }
}

ClientCounts::Client& ClientCounts::find(const std::string& client, const SendingLimits& limits,
                                         net::WallTime now) {
  if (clients_.size() >= sweep_at_ && !clients_.contains(client)) {
    forget_idle(now);
  }
  Client& found = clients_[client];
  found.limits = limits;
  refill(found.messages, limits.messages, now);
  refill(found.recipients, limits.recipients, now);
  return found;
}

// Rarely: the next time when there are twice as many. With so many clients none matters alone.
void ClientCounts::forget_idle(net::WallTime now) {
  for (auto& [name, client] : clients_) {
    refill(client.messages, std::nullopt, now);
    refill(client.recipients, std::nullopt, now);
  }
  std::erase_if(clients_, [](const auto& entry) {
    return used(entry.second.messages) == 0 && used(entry.second.recipients) == 0;
  });
  if (clients_.size() >= kMaxClients) {
    clients_.clear();
  }
  sweep_at_ = std::clamp(2 * clients_.size(), kMaxClients / 100, kMaxClients);
}

void ClientCounts::note_limits(const std::string& client, const SendingLimits& limits,
                               net::WallTime now) {
  if (limits.has_rate() || limits.connections > 0 || clients_.contains(client)) {
    find(client, limits, now);
  }
}

smtp::ClientRoom ClientCounts::room(const std::string& client, const SendingLimits& limits,
                                    net::WallTime now) {
  smtp::ClientRoom room;
  if (limits.over == conf::ClientLimits::Over::hold || !limits.has_rate() ||
      holds_.contains(client)) {
    return room;
  }
  const Client& found = find(client, limits, now);
  if (limits.messages && found.messages->room() == 0) {
    room.refusal = refusal(*limits.messages, "message");
  }
  if (limits.recipients) {
    room.recipients = found.recipients->room();
    room.recipients_refusal = refusal(*limits.recipients, "recipient");
  }
  return room;
}

Ruling ClientCounts::take(const std::string& client, const SendingLimits& limits,
                          std::size_t recipients, net::WallTime now) {
  const auto held = holds_.find(client);
  Ruling ruling;
  if (held != holds_.end()) {
    ruling = {Ruling::What::held, spool::held_for(held->second)};
  }
  if (!limits.has_rate() && !clients_.contains(client)) {
    return ruling;
  }
  Client& found = find(client, limits, now);
  const bool too_many = limits.messages && found.messages->room() == 0;
  const bool too_wide = limits.recipients && found.recipients->room() < recipients;
  if (ruling.what == Ruling::What::taken && (too_many || too_wide)) {
    const auto& rate = too_many ? *limits.messages : *limits.recipients;
    const std::string_view noun = too_many ? "message" : "recipient";
    if (limits.over == conf::ClientLimits::Over::refuse) {
      return {Ruling::What::refused, refusal(rate, noun)};
    }
    spool::ClientHold hold{
        client,
        fmt::format("sent {}more than {}", too_many ? "" : "to ", conf::in_words(rate, noun)), now,
        ""};
    ruling = {Ruling::What::held, spool::held_for(hold), hold};
    holds_.emplace(client, std::move(hold));
  }
  charge(found.messages, 1);
  charge(found.recipients, recipients);
  return ruling;
}

void ClientCounts::give_back(const std::string& client, std::size_t recipients) {
  const auto found = clients_.find(client);
  if (found != clients_.end()) {
    reception::give_back(found->second.messages, 1);
    reception::give_back(found->second.recipients, recipients);
  }
}

void ClientCounts::hold(spool::ClientHold hold) {
  holds_.insert_or_assign(hold.name, hold);
}

bool ClientCounts::release(const std::string& client) {
  clients_.erase(client);
  return holds_.erase(client) > 0;
}

std::vector<ClientState> ClientCounts::states(net::WallTime now) {
  std::vector<ClientState> states;
  states.reserve(clients_.size());
  for (auto& [name, client] : clients_) {
    refill(client.messages, std::nullopt, now);
    refill(client.recipients, std::nullopt, now);
    states.push_back({name, used(client.messages), used(client.recipients), client.limits, 0, {}});
  }
  return states;
}

}  // namespace relay::reception
