#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/net/dns_client.h"
#include "tests/relay/net/dns_fixture.h"

namespace {

using relay::net::DnsType;
using support::address;
using support::DnsAsked;
using support::DnsPacket;
using support::DnsResponder;
using support::DnsStream;
using support::DnsTransport;
using support::DnsWorld;
using support::failure;
using support::one_address;
using support::Packets;
using support::silence;
using support::Texts;
using support::texts;
namespace rdata = support::rdata;

TEST_CASE("a truncated or malformed answer is asked for again over TCP") {
  const auto truncated = [](const DnsAsked& asked) {
    return DnsPacket(asked.question).truncated().bytes();
  };
  const auto malformed = [](const DnsAsked& asked) {
    return DnsPacket(asked.question).answer("example.net", DnsType::a, 1, "abc").bytes();
  };
  for (const auto& first :
       std::vector<std::function<std::string(const DnsAsked&)>>{truncated, malformed}) {
    DnsWorld world({[&](const DnsAsked& asked) -> Packets {
      return asked.transport == DnsTransport::udp ? Packets{first(asked)} : address(asked);
    }});
    CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
    CHECK(world.asked() == 2);
  }
}

TEST_CASE("an answer of many segments over TCP arrives whole") {
  DnsWorld world({[](const DnsAsked& asked) -> Packets {
    DnsPacket packet(asked.question);
    if (asked.transport == DnsTransport::udp) {
      return {packet.truncated().bytes()};
    }
    for (int i = 0; i < 200; ++i) {
      packet.answer("example.net", DnsType::txt, 60, rdata::txt({std::string(250, 'x')}));
    }
    return {packet.bytes()};
  }});
  CHECK(texts(world.ask("example.net", DnsType::txt)).size() == 200);
}

TEST_CASE("an answer that is no better over TCP is a failure") {
  DnsWorld world({[](const DnsAsked& asked) -> Packets {
    return {DnsPacket(asked.question).truncated().bytes()};
  }});
  CHECK(failure(world.ask("example.net")) == "malformed answer");
}

TEST_CASE("packets with another id or another question are ignored") {
  DnsWorld world({[](const DnsAsked& asked) -> Packets {
    DnsAsked other = asked;
    other.question.name = "example.org";
    const auto wrong_id = static_cast<std::uint16_t>(asked.question.id ^ 1U);
    return {DnsPacket(asked.question)
                .id(wrong_id)
                .answer("example.net", DnsType::a, 60, rdata::a("203.0.113.66"))
                .bytes(),
            one_address(other, "203.0.113.66")[0], one_address(asked)[0]};
  }});
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
  CHECK(world.asked() == 1);
}

TEST_CASE("a shower of wrong ids is answered with TCP") {
  DnsWorld world({[](const DnsAsked& asked) -> Packets {
    if (asked.transport == DnsTransport::tcp) {
      return address(asked);
    }
    Packets guesses;
    for (unsigned i = 1; i <= 20; ++i) {
      const auto id = static_cast<std::uint16_t>(asked.question.id + i);
      guesses.push_back(DnsPacket(asked.question).id(id).bytes());
    }
    return guesses;
  }});
  CHECK(texts(world.ask("example.net")) == Texts{"192.0.2.1"});
  CHECK(world.servers[0]->asked().back().transport == DnsTransport::tcp);
}

TEST_CASE("what may become of an answer that has to be asked for over TCP") {
  struct Row {
    const char* what;
    DnsStream stream;
    DnsResponder::Script answer;
    const char* reason;
  };
  const auto other_id = [](const DnsAsked& asked) -> Packets {
    const auto wrong = static_cast<std::uint16_t>(asked.question.id ^ 1U);
    return {DnsPacket(asked.question)
                .id(wrong)
                .answer("example.net", DnsType::a, 60, rdata::a("203.0.113.66"))
                .bytes()};
  };
  for (const Row& row : {
           Row{"refused", DnsStream::refused, address, "Connection refused"},
           Row{"silence", DnsStream::whole, silence, "timeout after 0.05 s"},
           Row{"closed before the answer", DnsStream::hang_up, address,
               "connection closed without an answer"},
           Row{"half a packet, then silence", DnsStream::half, address, "timeout after 0.05 s"},
           Row{"another id", DnsStream::whole, other_id, "malformed answer"},
       }) {
    CAPTURE(row.what);
    DnsWorld world({[&](const DnsAsked& asked) -> Packets {
      return asked.transport == DnsTransport::udp
                 ? Packets{DnsPacket(asked.question).truncated().bytes()}
                 : row.answer(asked);
    }});
    world.options.try_timeout = std::chrono::milliseconds(50);
    world.options.rounds = 1;
    world.servers[0]->set_stream(row.stream);
    CHECK(failure(world.ask("example.net")) == row.reason);
  }
}

}  // namespace
