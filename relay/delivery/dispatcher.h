// Hands every recipient group to the worker that owns its destination.
// Thread-safe: posts to the workers' loops only.
#pragma once

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
  void retry_now(spool::MessageId id);
  void forget(spool::MessageId id);

  /// Which of count workers owns mail that goes this way: a route's first target decides, so that
  /// one next hop has one set of connections.
  static std::size_t owner(const std::vector<conf::Route>& routes, const MailPath& path,
                           std::size_t count);

 private:
  [[nodiscard]] const Place& place_of(const MailPath& path) const;

  std::vector<Place> places_;
  std::vector<conf::Route> routes_;  ///< as at start: ownership must not move while mail is queued
};

}  // namespace relay::delivery
