#include "relay/delivery/dispatcher.h"

#include <functional>
#include <set>
#include <utility>

namespace relay::delivery {

std::size_t Dispatcher::owner(const std::vector<conf::Route>& routes, const MailPath& path,
                              std::size_t count) {
  const auto found = next_hops(routes, path, 0);
  const auto* hops = std::get_if<std::vector<NextHop>>(&found);
  if (hops == nullptr) {
    return std::hash<std::string>{}(path.domain) % count;
  }
  const NextHop& first = hops->front();
  const auto policy_domain = first.policy_domain();
  return std::hash<std::string>{}(policy_domain ? policy_domain->text() : first.key()) % count;
}

std::size_t Dispatcher::index_of(const MailPath& path) const {
  return owner(routes_, path, places_.size());
}

void Dispatcher::stored(const std::shared_ptr<const spool::Envelope>& envelope) {
  if (!envelope->held.empty()) {
    return;
  }
  std::set<std::string> domains;
  for (const spool::Recipient& recipient : envelope->recipients) {
    if (domains.insert(recipient.domain).second) {
      const Place& place = places_[index_of(path_of(*envelope, recipient.domain))];
      place.loop->post([worker = place.worker, envelope, domain = recipient.domain] {
        worker->add(envelope, domain);
      });
    }
  }
}

void Dispatcher::changed(const std::vector<spool::MessageId>& ids,
                         const std::vector<spool::PendingGroup>& groups, net::EventLoop& loop,
                         Busy done) {
  const auto shares =
      std::make_shared<std::vector<std::vector<spool::PendingGroup>>>(places_.size());
  for (const spool::PendingGroup& group : groups) {
    (*shares)[index_of(path_of(group))].push_back(group);
  }
  ask_all(
      [ids, shares](Worker& worker, std::size_t i) { return worker.replace(ids, (*shares)[i]); },
      loop, std::move(done));
}

void Dispatcher::ask_busy(const std::vector<spool::MessageId>& ids, net::EventLoop& loop,
                          Busy done) {
  ask_all([ids](Worker& worker, std::size_t /*i*/) { return worker.busy(ids); }, loop,
          std::move(done));
}

void Dispatcher::ask_all(const std::function<std::vector<GroupKey>(Worker&, std::size_t)>& ask,
                         net::EventLoop& loop, Busy done) {
  struct Answers {
    std::size_t missing;
    std::vector<GroupKey> busy;
    Busy done;
  };
  const auto answers = std::make_shared<Answers>(Answers{places_.size(), {}, std::move(done)});
  std::size_t number = 0;
  for (const Place& place : places_) {
    place.loop->post([worker = place.worker, i = number++, ask, answers, &loop] {
      loop.post([answers, busy = ask(*worker, i)] {
        answers->busy.insert(answers->busy.end(), busy.begin(), busy.end());
        if (--answers->missing == 0) {
          answers->done(std::move(answers->busy));
        }
      });
    });
  }
}

void Dispatcher::set_pauses(const std::shared_ptr<const Pauses>& pauses) {
  for (const Place& place : places_) {
    place.loop->post([worker = place.worker, pauses] { worker->set_pauses(pauses); });
  }
}

}  // namespace relay::delivery
