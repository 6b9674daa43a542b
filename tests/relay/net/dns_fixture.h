// A client that asks scripted name servers on its own loop, and the answers most tests want.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>

#include "relay/net/dns_cache.h"
#include "relay/net/dns_client.h"
#include "tests/relay/net/dns_packet.h"
#include "tests/relay/net/dns_responder.h"
#include "tests/relay/net/loop_fixture.h"
#include "tests/support/manual_clock.h"

namespace support {

using Texts = std::vector<std::string>;
using Packets = std::vector<std::string>;

inline Packets one_address(const DnsAsked& asked, const std::string& ip = "192.0.2.1",
                           std::uint32_t ttl = 60) {
  return {DnsPacket(asked.question)
              .answer(asked.question.name, relay::net::DnsType::a, ttl, rdata::a(ip))
              .bytes()};
}
inline Packets address(const DnsAsked& asked) {
  return one_address(asked);
}
inline Packets silence(const DnsAsked& /*asked*/) {
  return {};
}
inline Packets servfail(const DnsAsked& asked) {
  return {DnsPacket(asked.question).rcode(2).bytes()};
}

/// A loop with name servers on it and a client that asks them in order.
struct DnsWorld {
  explicit DnsWorld(std::vector<DnsResponder::Script> scripts) {
    for (auto& script : scripts) {
      servers.push_back(std::make_unique<DnsResponder>(loop, std::move(script)));
      options.resolvers.push_back(servers.back()->address());
    }
    options.try_timeout = std::chrono::seconds(5);
  }

  relay::net::DnsClient& client() {
    if (!client_) {
      client_.emplace(loop, clock, options);
    }
    return *client_;
  }

  void run() { support::run(loop); }

  /// Runs the loop until every callback in progress has had its chance.
  void settle() {
    relay::net::Timer later(loop, [this] { loop.stop(); });
    later.start(std::chrono::milliseconds(20));
    run();
  }

  relay::net::DnsResult ask(const std::string& name,
                            relay::net::DnsType type = relay::net::DnsType::a,
                            relay::net::DnsCacheUse cache = relay::net::DnsCacheUse::allowed) {
    std::optional<relay::net::DnsResult> result;
    const relay::net::Operation operation =
        client().query(name, type, cache, [&](relay::net::DnsResult answer) {
          result = std::move(answer);
          loop.stop();
        });
    REQUIRE_FALSE(result);  // never inside query()
    run();
    REQUIRE(result);
    return *result;
  }

  [[nodiscard]] std::size_t asked(std::size_t server = 0) const {
    return servers.at(server)->asked().size();
  }

  relay::net::EventLoop loop;
  ManualClock clock;
  std::vector<std::unique_ptr<DnsResponder>> servers;
  relay::net::DnsClientOptions options;
  std::optional<relay::net::DnsClient> client_;
};

inline const Texts& texts(const relay::net::DnsResult& result) {
  REQUIRE(std::holds_alternative<relay::net::DnsAnswer>(result));
  return std::get<Texts>(std::get<relay::net::DnsAnswer>(result).records);
}

inline std::string failure(const relay::net::DnsResult& result) {
  REQUIRE(std::holds_alternative<relay::net::DnsFailure>(result));
  return std::get<relay::net::DnsFailure>(result).reason;
}

inline std::chrono::seconds ttl(const relay::net::DnsResult& result) {
  return relay::net::ttl_of(result);
}

/// A loopback address where nobody listens.
inline relay::net::SocketAddress closed_port() {
  relay::net::EventLoop loop;
  const DnsResponder gone(loop, silence);
  return gone.address();
}

}  // namespace support
