#include "relay/reception/access.h"

#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "relay/reception/connection_counts.h"

using relay::reception::ConnectionCounts;
using relay::reception::permission;
using relay::smtp::LineEnds;
using relay::smtp::Relaying;

TEST_CASE("only clients in allow_networks may relay, only those in normalize_networks are mended") {
  conf::Listener listener;
  listener.allow_networks = {*conf::Network::parse("192.0.2.0/24"),
                             *conf::Network::parse("2001:db8::/32")};
  listener.normalize_networks = {*conf::Network::parse("192.0.2.7/32")};
  struct Row {
    const char* ip;
    Relaying relaying;
    LineEnds line_ends;
  };
  for (const auto& row : {Row{"192.0.2.7", Relaying::allowed, LineEnds::normalize_bare},
                          Row{"192.0.2.8", Relaying::allowed, LineEnds::refuse_bare},
                          Row{"192.0.3.8", Relaying::denied, LineEnds::refuse_bare},
                          Row{"2001:db8::1", Relaying::allowed, LineEnds::refuse_bare},
                          Row{"2001:db9::1", Relaying::denied, LineEnds::refuse_bare},
                          Row{"", Relaying::denied, LineEnds::refuse_bare}}) {
    CAPTURE(row.ip);
    CHECK(permission(listener, row.ip).relaying == row.relaying);
    CHECK(permission(listener, row.ip).line_ends == row.line_ends);
  }
}

TEST_CASE("where AUTH is required an address is not enough") {
  conf::Listener listener;
  listener.auth.required = true;
  CHECK(permission(listener, "127.0.0.1").relaying == Relaying::denied);
  listener.auth.required = false;
  CHECK(permission(listener, "127.0.0.1").relaying == Relaying::allowed);
}

TEST_CASE("a certificate may relay by its print, or by a name that somebody vouches for") {
  const std::string print(64, 'a');
  struct Row {
    std::vector<std::string> allowed;
    relay::net::ClientCertificate certificate;
    bool result;
  };
  for (const auto& row :
       std::vector<Row>{{{}, {print, true, {"a.example"}}, false},
                        {{print}, {print, false, {}}, true},
                        {{std::string(64, 'b')}, {print, true, {"a.example"}}, false},
                        {{"a.example"}, {print, true, {"b.example", "a.example"}}, true},
                        {{"a.example"}, {print, true, {"b.example"}}, false},
                        {{"example"}, {print, true, {"a.example"}}, false},
                        {{"*"}, {print, true, {}}, true},
                        {{"*"}, {print, false, {}}, false}}) {
    conf::Listener listener;
    listener.allow_certificates = row.allowed;
    CHECK(relay::reception::is_allowed(listener, row.certificate) == row.result);
  }
}

TEST_CASE("connections are capped in all and by client, and places come back") {
  const auto counts = std::make_shared<ConnectionCounts>();
  const ConnectionCounts::Caps caps{3, 2};
  auto a1 = counts->take("a", caps, "");
  auto a2 = counts->take("a", caps, "");
  CHECK(std::get<ConnectionCounts::Full>(counts->take("a", caps, "")) ==
        ConnectionCounts::Full::client);
  auto b1 = counts->take("b", caps, "");
  CHECK(std::get<ConnectionCounts::Full>(counts->take("c", caps, "")) ==
        ConnectionCounts::Full::total);
  CHECK(counts->total() == 3);
  std::get<0>(a1).reset();
  CHECK(counts->total() == 2);
  CHECK(std::holds_alternative<std::unique_ptr<ConnectionCounts::Place>>(
      counts->take("a", caps, "")));
}
