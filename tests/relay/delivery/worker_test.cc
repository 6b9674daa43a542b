#include "relay/delivery/worker.h"

#include <array>
#include <future>
#include <thread>

#include <doctest/doctest.h>

#include "relay/delivery/dispatcher.h"
#include "tests/relay/delivery/smtp_peer.h"
#include "tests/relay/spool/test_vfs.h"

namespace {

using namespace relay::delivery;
namespace net = relay::net;
namespace spool = relay::spool;

std::shared_ptr<const WorkerSettings> settings_for(const net::SocketAddress& address) {
  auto settings = std::make_shared<WorkerSettings>();
  settings->hostname = "relay.example";
  conf::Route route;
  route.match = "*";
  route.host = address.ip();
  route.port = address.port();
  settings->routes = {route};
  return settings;
}

/// A worker on the test's own loop whose mail goes to the peer, over a spool that can be made to
/// fail.
struct WorkerWorld {
  explicit WorkerWorld(const std::string& name) : vfs(name), world(options()) {
    worker = std::make_unique<Worker>(Worker::Parts{world.loop,
                                                    world.clock,
                                                    *world.spool,
                                                    world.log.log(),
                                                    spool::testing::open_reader(directory.spool()),
                                                    net::DnsClientOptions{},
                                                    world.tls,
                                                    settings_for(world.peer.address()),
                                                    {},
                                                    {},
                                                    std::chrono::milliseconds(1)});
  }
  [[nodiscard]] spool::SpoolOptions options() const {
    return spool::testing::options_for(directory.spool(), vfs.name());
  }
  void add(const spool::Envelope& envelope) {
    worker->add(std::make_shared<const spool::Envelope>(envelope),
                envelope.recipients.front().domain);
  }
  void run_until(const std::function<bool()>& condition) {
    support::run_until(world.loop, condition);
  }
  void drain() {
    bool drained = false;
    worker->drain([&] { drained = true; });
    run_until([&] { return drained; });
  }
  /// Everything that could start a second delivery.
  void provoke(const spool::Envelope& envelope) {
    world.clock.advance(std::chrono::hours(1));
    worker->replace({envelope.id}, spool::pending_groups(envelope));
    worker->begin();
    support::settle(world.loop);
  }
  [[nodiscard]] std::size_t queued() {
    auto found = world.reader->list(std::nullopt, 100);
    REQUIRE(found);
    return found->size();
  }

  spool::testing::TemporaryDirectory directory;
  spool::testing::TestVfs vfs;
  support::DeliveryWorld world;
  std::unique_ptr<Worker> worker;
};

}  // namespace

TEST_CASE(
    "a full disk: what is delivered is not delivered again, and recorded once there is room") {
  WorkerWorld test("worker_full");
  const spool::Envelope message = test.world.store({"a.example"});
  test.vfs.set_room(-1);
  test.add(message);
  test.run_until([&] { return test.world.log.count("settle-refused") == 1; });
  CHECK(test.world.peer.messages() == 1);
  test.provoke(message);
  CHECK(test.world.peer.messages() == 1);
  CHECK(test.world.log.count("settle-refused") == 1);
  CHECK(test.queued() == 1);
  CHECK(test.world.spool->statistics().settlements == 0);

  test.vfs.set_room(1 << 30);
  test.run_until([&] { return test.world.spool->statistics().settlements == 1; });
  CHECK(test.queued() == 0);
  test.provoke(message);
  test.drain();
  CHECK(test.world.peer.messages() == 1);
}

TEST_CASE("a full disk: a stop does not wait for room for ever") {
  WorkerWorld test("worker_full_at_stop");
  const spool::Envelope message = test.world.store({"a.example"});
  test.vfs.set_room(-1);
  test.add(message);
  test.run_until([&] { return test.world.log.count("settle-refused") == 1; });
  test.drain();
  CHECK(test.world.log.count("settle-failed") == 1);
  CHECK(test.queued() == 1);
}

TEST_CASE("a failed spool: nothing more is delivered, and one line says so") {
  WorkerWorld test("worker_failed");
  const spool::Envelope first = test.world.store({"a.example"});
  const spool::Envelope second = test.world.store({"b.example"});
  test.vfs.set_sync_fails(true);
  test.add(first);
  test.run_until([&] { return test.world.log.count("settle-failed") == 1; });
  CHECK(test.world.spool->failed());
  test.add(second);
  test.provoke(first);
  test.provoke(second);
  CHECK(test.world.peer.messages() == 1);
  CHECK(test.world.log.count("delivery-stopped") == 1);
  test.drain();
}

TEST_CASE("a reload leaves no conversation of before to what comes after it") {
  WorkerWorld test("worker_reload");
  const spool::Envelope first = test.world.store({"a.example"});
  const spool::Envelope second = test.world.store({"a.example"});
  test.world.peer.replies["."] = "";
  test.add(first);
  test.run_until([&] { return test.world.peer.messages() == 1; });
  test.worker->reconfigure(settings_for(test.world.peer.address()), test.world.tls);
  test.world.peer.say(0, "250 taken");
  test.world.peer.replies["."] = "250 taken";
  test.run_until([&] { return test.world.spool->statistics().settlements == 1; });
  test.add(second);
  test.run_until([&] { return test.world.spool->statistics().settlements == 2; });
  CHECK(test.world.peer.connections() == 2);
  test.drain();
}

TEST_CASE("conversations are used again within one generation") {
  WorkerWorld test("worker_reuse");
  for (std::uint64_t n = 1; n <= 2; ++n) {
    test.add(test.world.store({"a.example"}));
    test.run_until([&] { return test.world.spool->statistics().settlements == n; });
  }
  CHECK(test.world.peer.connections() == 1);
  CHECK(test.world.peer.messages() == 2);
  test.drain();
}

TEST_CASE("a dead host costs one message its time, until an operator or new settings ask again") {
  WorkerWorld test("worker_dead");
  auto settings = std::make_shared<WorkerSettings>(*settings_for(test.world.peer.address()));
  settings->delivery.timeouts.greeting = std::chrono::milliseconds(1);
  test.worker->reconfigure(settings, test.world.tls);
  test.world.peer.replies[""] = "";
  const spool::Envelope message = test.world.store({"a.example"});
  std::uint64_t settled = 0;
  const auto wait = [&] {
    test.run_until([&] { return test.world.spool->statistics().settlements == settled; });
    test.run_until([&] { return test.worker->busy({message.id}).empty(); });
    return test.world.peer.connections();
  };
  const auto send = [&](const spool::Envelope& what) {
    test.add(what);
    ++settled;
    return wait();
  };
  CHECK(send(message) == 1);
  CHECK(send(test.world.store({"a.example"})) == 1);
  // What an operator changes and does not want tried changes nothing about that.
  auto later = spool::pending_groups(message);
  later.front().next_try += std::chrono::hours(1);
  test.worker->replace({message.id}, later);
  CHECK(send(test.world.store({"a.example"})) == 1);

  test.worker->replace({message.id}, spool::pending_groups(message));
  ++settled;
  CHECK(wait() == 2);
  CHECK(send(test.world.store({"a.example"})) == 2);

  test.worker->reconfigure(settings, test.world.tls);
  CHECK(send(test.world.store({"a.example"})) == 3);

  auto without = std::make_shared<WorkerSettings>(*settings);
  without->delivery.host_retry = std::chrono::milliseconds(0);
  test.worker->reconfigure(without, test.world.tls);
  CHECK(send(test.world.store({"a.example"})) == 4);
  CHECK(send(test.world.store({"a.example"})) == 5);
  test.drain();
}

TEST_CASE("a first wait is kept before the first attempt") {
  WorkerWorld test("worker_first_wait");
  spool::Envelope message = test.world.store({"a.example"});
  message.recipients.front().next_try = test.world.clock.wall() + std::chrono::minutes(1);
  test.add(message);
  support::settle(test.world.loop);
  CHECK(test.world.peer.connections() == 0);
  test.world.clock.advance(std::chrono::minutes(1));
  test.worker->begin();
  test.run_until([&] { return test.world.spool->statistics().settlements == 1; });
  test.drain();
}

TEST_CASE("a message held before its turn is not tried until it is taken up again") {
  WorkerWorld test("worker_held");
  spool::Envelope message = test.world.store({"a.example"});
  message.recipients.front().next_try = test.world.clock.wall() + std::chrono::minutes(1);
  test.add(message);
  const auto change = [&](spool::MessageChange::Kind kind) {
    bool done = false;
    test.world.spool->change({{kind, message.id, test.world.clock.wall(), "why"}}, test.world.loop,
                             [&](const auto& /*changed*/) { done = true; });
    test.run_until([&] { return done; });
  };
  change(spool::MessageChange::Kind::hold);
  test.world.clock.advance(std::chrono::minutes(1));
  test.worker->begin();
  support::settle(test.world.loop);
  CHECK(test.world.peer.connections() == 0);
  change(spool::MessageChange::Kind::release);
  CHECK(test.worker->replace({message.id}, spool::pending_groups(message)).empty());
  test.run_until([&] { return test.world.spool->statistics().settlements == 1; });
  CHECK(test.world.peer.messages() == 1);
  test.drain();
}

TEST_CASE("what is being tried is not begun a second time, and is said to be under way") {
  WorkerWorld test("worker_busy");
  const spool::Envelope message = test.world.store({"a.example"});
  test.world.peer.replies["."] = "";
  test.add(message);
  test.run_until([&] { return test.world.peer.messages() == 1; });
  const std::vector<GroupKey> under_way{{message.id, "a.example"}};
  CHECK(test.worker->busy({message.id}) == under_way);
  CHECK(test.worker->busy({spool::MessageId(1)}).empty());
  CHECK(test.worker->replace({message.id}, spool::pending_groups(message)) == under_way);
  support::settle(test.world.loop);
  test.world.peer.say(0, "250 taken");
  test.run_until([&] { return test.world.spool->statistics().settlements == 1; });
  CHECK(test.world.peer.messages() == 1);
  test.run_until([&] { return test.worker->busy({message.id}).empty(); });
  test.drain();
}

TEST_CASE("a removed message does not come back when its attempt ends with a deferral") {
  WorkerWorld test("worker_removed");
  const spool::Envelope message = test.world.store({"a.example"});
  test.world.peer.replies["."] = "";
  test.add(message);
  test.run_until([&] { return test.world.peer.messages() == 1; });
  test.world.spool->change({{spool::MessageChange::Kind::remove, message.id}}, test.world.loop,
                           [](const auto& /*changed*/) {});
  test.worker->replace({message.id}, {});
  test.world.peer.say(0, "451 later");
  test.run_until([&] { return test.world.spool->statistics().settlements == 1; });
  test.provoke(message);
  CHECK(test.queued() == 0);
  CHECK(test.world.peer.messages() == 1);
  test.drain();
}

TEST_CASE("one next hop stays on one worker, whatever the recipient domain") {
  conf::Route by_address;
  by_address.match = "*.address.example";
  by_address.host = "192.0.2.1";
  conf::Route by_name = by_address;
  by_name.match = "*.name.example";
  by_name.host = "mx.example";
  const std::vector<conf::Route> routes{by_address, by_name};
  constexpr std::size_t kWorkers = 64;
  for (const std::string under : {"address.example", "name.example"}) {
    CAPTURE(under);
    const std::size_t owner = Dispatcher::owner(routes, {"a." + under}, kWorkers);
    for (const std::string domain : {"b.", "c.", "d.", "e."}) {
      CHECK(Dispatcher::owner(routes, {domain + under}, kWorkers) == owner);
    }
  }
}

namespace {

/// Two workers on threads of their own, as in the daemon, and their peer on a third.
class Threads {
 public:
  /// routes: that the dispatcher goes by.
  explicit Threads(support::DeliveryWorld& world, const net::SocketAddress& peer,
                   std::vector<conf::Route> routes = {}) {
    std::vector<Dispatcher::Place> places;
    for (auto& place : places_) {
      place.worker = std::make_unique<Worker>(
          Worker::Parts{place.loop,
                        world.clock,
                        *world.spool,
                        world.log.log(),
                        spool::testing::open_reader(world.directory.spool()),
                        net::DnsClientOptions{},
                        world.tls,
                        settings_for(peer),
                        {},
                        {}});
      places.push_back({&place.loop, place.worker.get()});
    }
    dispatcher_ = std::make_unique<Dispatcher>(std::move(places), std::move(routes));
    for (auto& place : places_) {
      place.thread = std::thread([&loop = place.loop] { loop.run(); });
    }
  }
  ~Threads() {
    for (auto& place : places_) {
      place.loop.stop();
      place.thread.join();
    }
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  Dispatcher& dispatcher() { return *dispatcher_; }
  void drain() {
    for (auto& place : places_) {
      std::promise<void> drained;
      place.loop.post([&] { place.worker->drain([&] { drained.set_value(); }); });
      drained.get_future().wait();
    }
  }
  [[nodiscard]] std::uint64_t delivered_by(std::size_t worker) const {
    return places_.at(worker).worker->gauges().delivered;
  }
  [[nodiscard]] std::uint64_t delivered() const {
    std::uint64_t sum = 0;
    for (const auto& place : places_) {
      sum += place.worker->gauges().delivered;
    }
    return sum;
  }

 private:
  struct Place {
    net::EventLoop loop;
    std::unique_ptr<Worker> worker;
    std::thread thread;
  };
  std::array<Place, 2> places_;
  std::unique_ptr<Dispatcher> dispatcher_;
};

}  // namespace

TEST_CASE("messages are handed from thread to thread, delivered once and recorded") {
  support::DeliveryWorld world;
  Threads threads(world, world.peer.address());
  world.spool->set_stored_observer([&](const std::shared_ptr<const spool::Envelope>& envelope) {
    threads.dispatcher().stored(envelope);
  });
  constexpr int kMessages = 20;
  for (int n = 0; n < kMessages; ++n) {
    const auto stored = world.store({"a.example", "b.example", "c.example"});
    threads.dispatcher().changed({stored.id}, spool::pending_groups(stored), world.loop,
                                 [](const std::vector<GroupKey>& /*busy*/) {});
  }
  support::run_until(world.loop,
                     [&] { return world.spool->statistics().settlements == 3 * kMessages; });
  CHECK(threads.delivered() == 3 * kMessages);
  CHECK(world.peer.messages() == 3 * kMessages);
  const auto left = world.reader->list(std::nullopt, 100);
  REQUIRE(left);
  CHECK(left->empty());
  threads.drain();
}

TEST_CASE(
    "one listener's mail stays on its route's worker, fresh, changed or read from the spool") {
  conf::Route route;
  route.listener = "192.0.2.1:2525";
  route.host = "mx.example";
  support::DeliveryWorld world;
  Threads threads(world, world.peer.address(), {route});
  constexpr std::uint64_t kMessages = 20;
  std::vector<spool::Envelope> messages;
  for (std::uint64_t n = 0; n < kMessages; ++n) {
    auto envelope = spool::testing::envelope_to({std::to_string(n) + ".example"});
    envelope.listener = route.listener;
    messages.push_back(world.store(std::move(envelope)));
  }
  const std::size_t owner = Dispatcher::owner({route}, {"any.example", "", route.listener}, 2);
  std::size_t pending = 0;
  REQUIRE(world.reader->each_pending([&](const spool::PendingGroup& group) {
    ++pending;
    CHECK(Dispatcher::owner({route}, path_of(group), 2) == owner);
  }));
  CHECK(pending == kMessages);
  for (std::uint64_t n = 0; n < kMessages; ++n) {
    if (n % 2 == 0) {
      threads.dispatcher().stored(std::make_shared<const spool::Envelope>(messages[n]));
    } else {
      threads.dispatcher().changed({messages[n].id}, spool::pending_groups(messages[n]), world.loop,
                                   [](const std::vector<GroupKey>& /*busy*/) {});
    }
  }
  support::run_until(world.loop,
                     [&] { return world.spool->statistics().settlements == kMessages; });
  CHECK(threads.delivered_by(owner) == kMessages);
  CHECK(threads.delivered_by(1 - owner) == 0);
  threads.drain();
}
