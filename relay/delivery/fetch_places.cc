#include "relay/delivery/fetch_places.h"

#include <algorithm>
#include <utility>

namespace relay::delivery {

FetchPlaces::Seat::Seat(std::shared_ptr<FetchPlaces> places, net::EventLoop& loop,
                        std::function<void()> wake)
    : places_(std::move(places)),
      loop_(loop),
      wake_(std::make_shared<Wake>(Wake{std::move(wake)})) {
  const std::lock_guard lock(places_->mutex_);
  place_ = places_->seats_.insert(places_->seats_.end(), this);
}

FetchPlaces::Seat::~Seat() {
  const std::lock_guard lock(places_->mutex_);
  places_->seats_.erase(place_);
}

bool FetchPlaces::Seat::take(const std::vector<std::string>& ips) {
  const std::lock_guard lock(places_->mutex_);
  if (places_->taken_ >= places_->limits_.in_all || places_->full_at(ips)) {
    state_ = State::waits;
    return false;
  }
  ++places_->taken_;
  places_->peaks_.in_all = std::max(places_->peaks_.in_all, places_->taken_);
  places_->add_at(ips);
  return true;
}

bool FetchPlaces::Seat::take_at(const std::vector<std::string>& ips) {
  const std::lock_guard lock(places_->mutex_);
  if (places_->full_at(ips)) {
    state_ = State::waits;
    return false;
  }
  places_->add_at(ips);
  return true;
}

void FetchPlaces::Seat::give_back(const std::vector<std::string>& ips) {
  const std::lock_guard lock(places_->mutex_);
  --places_->taken_;
  for (const std::string& ip : ips) {
    const auto found = places_->at_address_.find(ip);
    if (--found->second == 0) {
      places_->at_address_.erase(found);
    }
  }
  places_->wake_waiting();
}

bool FetchPlaces::full_at(const std::vector<std::string>& ips) const {
  return std::any_of(ips.begin(), ips.end(), [this](const std::string& ip) {
    const auto found = at_address_.find(ip);
    return found != at_address_.end() && found->second >= limits_.per_address;
  });
}

void FetchPlaces::add_at(const std::vector<std::string>& ips) {
  for (const std::string& ip : ips) {
    peaks_.at_one_address = std::max(peaks_.at_one_address, ++at_address_[ip]);
  }
}

FetchPlaces::Peaks FetchPlaces::peaks() const {
  const std::lock_guard lock(mutex_);
  return peaks_;
}

void FetchPlaces::wake_waiting() {
  for (Seat* const seat : seats_) {
    if (std::exchange(seat->state_, Seat::State::content) == Seat::State::waits) {
      seat->loop_.post([wake = std::weak_ptr<Seat::Wake>(seat->wake_)] {
        if (const auto alive = wake.lock()) {
          alive->run();
        }
      });
    }
  }
}

}  // namespace relay::delivery
