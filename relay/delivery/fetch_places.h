// How many policies may be fetched at a time, in all and from one address (RFC 8461 §10.1: nobody's
// policy host is to be overrun), shared by the fetchers of all workers. Threading: any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "relay/net/event_loop.h"

namespace relay::delivery {

class FetchPlaces {
 public:
  struct Limits {
    int in_all = 64;
    int per_address = 4;
  };
  /// The most that were taken at once so far.
  struct Peaks {
    int in_all = 0, at_one_address = 0;
  };

  /// One fetcher's way to the places. What it was refused, it is told about: wake runs on its loop
  /// once after a place became free. Belongs to the loop's thread.
  class Seat {
   public:
    Seat(std::shared_ptr<FetchPlaces> places, net::EventLoop& loop, std::function<void()> wake);
    ~Seat();
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;
    Seat(Seat&&) = delete;
    Seat& operator=(Seat&&) = delete;

    /// Takes a place among all and one at each of a host's addresses, which may all be connected
    /// to, or none of these.
    [[nodiscard]] bool take(const std::vector<std::string>& ips = {});
    /// Takes those at the addresses for a fetch that has its place among all, or none.
    [[nodiscard]] bool take_at(const std::vector<std::string>& ips);
    /// Gives back a place among all and those at the addresses.
    void give_back(const std::vector<std::string>& ips = {});

   private:
    friend class FetchPlaces;
    struct Wake {
      std::function<void()> run;
    };

    const std::shared_ptr<FetchPlaces> places_;
    net::EventLoop& loop_;
    const std::shared_ptr<Wake> wake_;  // a posted one may outlive the seat
    enum class State { content, waits } state_ = State::content;  // under the mutex
    std::list<Seat*>::iterator place_;
  };

  explicit FetchPlaces(Limits limits) : limits_(limits) {}
  FetchPlaces(const FetchPlaces&) = delete;
  FetchPlaces& operator=(const FetchPlaces&) = delete;
  FetchPlaces(FetchPlaces&&) = delete;
  FetchPlaces& operator=(FetchPlaces&&) = delete;
  ~FetchPlaces() = default;

  [[nodiscard]] Peaks peaks() const;

 private:
  // With the mutex held.
  [[nodiscard]] bool full_at(const std::vector<std::string>& ips) const;
  void add_at(const std::vector<std::string>& ips);
  void wake_waiting();

  const Limits limits_;
  mutable std::mutex mutex_;
  int taken_ = 0;
  std::map<std::string, int> at_address_;  // of those with fetches under way
  Peaks peaks_;
  std::list<Seat*> seats_;
};

}  // namespace relay::delivery
