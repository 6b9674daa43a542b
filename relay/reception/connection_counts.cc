#include "relay/reception/connection_counts.h"

#include <utility>

namespace relay::reception {

ConnectionCounts::Place::Place(std::shared_ptr<ConnectionCounts> counts, std::string client)
    : counts_(std::move(counts)), client_(std::move(client)) {}

ConnectionCounts::Place::~Place() {
  counts_->give_back(client_);
}

std::variant<std::unique_ptr<ConnectionCounts::Place>, ConnectionCounts::Full>
ConnectionCounts::take(const std::string& client, const Caps& caps, const std::string& listener) {
  const std::lock_guard lock(mutex_);
  Served& served = served_[listener];
  if (total_ >= caps.total) {
    ++served.refused_total;
    return Full::total;
  }
  auto& count = by_client_[client];
  if (count >= caps.per_client) {
    ++served.refused_client;
    return Full::client;
  }
  ++count;
  ++total_;
  ++served.accepted;
  return std::make_unique<Place>(shared_from_this(), client);
}

std::size_t ConnectionCounts::total() const {
  const std::lock_guard lock(mutex_);
  return total_;
}

std::map<std::string, std::size_t> ConnectionCounts::by_client() const {
  const std::lock_guard lock(mutex_);
  return {by_client_.begin(), by_client_.end()};
}

std::map<std::string, ConnectionCounts::Served> ConnectionCounts::served() const {
  const std::lock_guard lock(mutex_);
  return served_;
}

void ConnectionCounts::give_back(const std::string& client) {
  const std::lock_guard lock(mutex_);
  --total_;
  const auto entry = by_client_.find(client);
  if (entry != by_client_.end() && --entry->second == 0) {
    by_client_.erase(entry);
  }
}

}  // namespace relay::reception
