#include "relay/delivery/connection_pool.h"

#include <doctest/doctest.h>

#include "tests/relay/delivery/smtp_peer.h"

namespace {

using namespace relay::delivery;

struct PoolWorld : support::DeliveryWorld {
  /// A conversation that has sent a message; the peer's connections are numbered as these are.
  std::unique_ptr<Conversation> used(const std::string& destination) {
    auto conversation =
        std::make_unique<Conversation>(conversations, target(destination), settings);
    bool reported = false;
    conversation->open(job(message), [&](const ConversationReport&) { reported = true; });
    support::run_until(loop, [&] { return reported; });
    REQUIRE(conversation->usable());
    return conversation;
  }
  std::vector<std::unique_ptr<Conversation>> used_to(const std::vector<std::string>& destinations) {
    std::vector<std::unique_ptr<Conversation>> made;
    for (const auto& destination : destinations) {
      made.push_back(used(destination));
    }
    return made;
  }
  /// Which of the peer's connections were ended.
  std::vector<std::size_t> ended() {
    support::settle(loop);
    std::vector<std::size_t> numbers;
    for (std::size_t n = 0; n < peer.connections(); ++n) {
      if (peer.has_said(n, "QUIT")) {
        numbers.push_back(n);
      }
    }
    return numbers;
  }
  std::string key() const { return target().key(); }

  relay::spool::Envelope message = store({"a.example"});
  PoolLimits limits{std::chrono::seconds(60), std::chrono::minutes(5), 100, 100, 100};
};

using Numbers = std::vector<std::size_t>;

}  // namespace

TEST_CASE("over the limit of connections those are ended that were idle longest") {
  PoolWorld world;
  world.limits.connections = 3;
  ConnectionPool pool(world.conversations, world.limits);
  auto conversations = world.used_to({"a", "b", "c", "d"});
  // The one that stays in use counts too.
  for (std::size_t n = 0; n < 3; ++n) {
    pool.put(std::move(conversations[n]));
  }
  CHECK(world.ended() == Numbers{0});
  CHECK(pool.size() == 2);
  CHECK(world.count.total() == 3);
  pool.make_room("e");
  CHECK(world.ended() == Numbers{0, 1});
  CHECK(world.count.total() == 2);
}

TEST_CASE("idle conversations count in their destination's limit") {
  PoolWorld world;
  world.limits.per_destination = 2;
  ConnectionPool pool(world.conversations, world.limits);
  auto conversations = world.used_to({"a", "b", "a", "b", "a"});
  pool.put(std::move(conversations[1]));
  pool.put(std::move(conversations[0]));
  // Three to a, of which one is idle, and two to b, which is as many as there may be.
  CHECK(world.ended() == Numbers{0});
  pool.make_room("b");
  CHECK(world.ended() == Numbers{0, 1});
  pool.make_room("c");
  CHECK(world.ended() == Numbers{0, 1});
  CHECK(world.count.of("a") == 2);
  CHECK(world.count.of("b") == 1);
}

TEST_CASE("the most recently used conversation with a key is taken first") {
  PoolWorld world;
  ConnectionPool pool(world.conversations, world.limits);
  auto conversations = world.used_to({"a", "a"});
  const Conversation* last = conversations[1].get();
  pool.put(std::move(conversations[0]));
  pool.put(std::move(conversations[1]));
  CHECK(pool.take("something else") == nullptr);
  CHECK(pool.take(world.key()).get() == last);
  CHECK(pool.size() == 1);
}

TEST_CASE("what is old, much used or of an earlier generation is not kept") {
  PoolWorld world;
  SUBCASE("old") {
    world.limits.age = std::chrono::milliseconds(0);
  }
  SUBCASE("much used") {
    world.limits.messages = 1;
  }
  std::uint64_t generations = 0;
  SUBCASE("of an earlier generation") {
    generations = 1;
  }
  ConnectionPool pool(world.conversations, world.limits);
  auto conversation = world.used("a");
  const std::string key = conversation->key();
  world.conversations.generation += generations;
  pool.put(std::move(conversation));
  CHECK(world.ended() == Numbers{0});
  CHECK(pool.size() == 0);
  CHECK(pool.take(key) == nullptr);
}

TEST_CASE("an idle conversation ends by itself") {
  PoolWorld world;
  world.limits.idle = std::chrono::milliseconds(1);
  ConnectionPool pool(world.conversations, world.limits);
  pool.put(world.used("a"));
  support::run_until(world.loop, [&] { return pool.size() == 0; });
  CHECK(world.ended() == Numbers{0});
  CHECK(world.count.total() == 0);
}
