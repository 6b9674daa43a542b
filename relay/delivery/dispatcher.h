// Hands every recipient group to the worker that owns its destination.
// Thread-safe: posts to the workers' loops only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "relay/delivery/worker.h"
#include "relay/net/event_loop.h"
#include "relay/spool/spool.h"

namespace relay::delivery {

class Dispatcher {
 public:
  struct Place {
    net::EventLoop* loop;
    Worker* worker;  ///< used on its loop only
  };
  Dispatcher(std::vector<Place> places, std::vector<conf::Route> routes)
      : places_(std::move(places)), routes_(std::move(routes)) {}

  /// A message is on disk: each domain's recipients go to their worker.
  void stored(const std::shared_ptr<const spool::Envelope>& envelope);
  /// What the spool says of messages was changed. groups: what is pending of them. done gets what
  /// of them is being tried, on the loop given.
  using Busy = std::function<void(std::vector<GroupKey>)>;
  void changed(const std::vector<spool::MessageId>& ids,
               const std::vector<spool::PendingGroup>& groups, net::EventLoop& loop, Busy done);
  /// done gets what of messages is being tried, on the loop given.
  void ask_busy(const std::vector<spool::MessageId>& ids, net::EventLoop& loop, Busy done);
  void set_pauses(const std::shared_ptr<const Pauses>& pauses);

  /// Which of count workers owns mail that goes this way: a route's first target decides, so that
  /// one next hop has one set of connections.
  static std::size_t owner(const std::vector<conf::Route>& routes, const MailPath& path,
                           std::size_t count);

 private:
  [[nodiscard]] std::size_t index_of(const MailPath& path) const;
  /// Asks every worker on its loop; done gets all answers on the loop given.
  void ask_all(const std::function<std::vector<GroupKey>(Worker&, std::size_t)>& ask,
               net::EventLoop& loop, Busy done);

  std::vector<Place> places_;
  std::vector<conf::Route> routes_;  ///< as at start: ownership must not move while mail is queued
};

}  // namespace relay::delivery
