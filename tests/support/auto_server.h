// A ServerSession whose driver is a test: every demand is answered at once, what was stored is
// kept.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "relay/smtp/server_session.h"

namespace support {

class AutoServer {
 public:
  struct Message {
    relay::smtp::ServerTransaction transaction;
    std::string content;
    std::string protocol;
  };

  explicit AutoServer(relay::smtp::ServerSettings settings) : session(std::move(settings)) {}

  void receive(std::string_view bytes) {
    session.receive(bytes);
    obey();
  }
  [[nodiscard]] std::string take_output() { return session.take_output(); }

  void obey() {
    using Demand = relay::smtp::ServerSession::Demand;
    for (;;) {
      content += session.take_content();
      if (!session.receiving()) {
        content.clear();
      }
      switch (session.demand()) {
        case Demand::read:
        case Demand::start_tls:
        case Demand::close:
          return;
        case Demand::pause:
          ++pauses;
          session.resumed();
          break;
        case Demand::check_credentials: {
          const auto claimed = session.take_credentials();
          credentials.push_back(claimed.user + "/" + claimed.password);
          session.authenticated(claimed.user, verdict);
          break;
        }
        case Demand::check_room:
          session.checked(room);
          break;
        case Demand::open_message:
          session.opened(room_for_data);
          break;
        case Demand::store_message:
          messages.push_back(
              {session.transaction(), std::exchange(content, {}), std::string(session.protocol())});
          session.stored(stored, "ID" + std::to_string(messages.size()));
          break;
      }
    }
  }

  relay::smtp::ServerSession session;
  relay::smtp::Room room = relay::smtp::Room::available;
  relay::smtp::Room room_for_data = relay::smtp::Room::available;
  relay::smtp::Room stored = relay::smtp::Room::available;
  relay::smtp::AuthVerdict verdict = relay::smtp::AuthVerdict::accepted;
  std::vector<std::string> credentials;
  std::vector<Message> messages;
  std::string content;
  int pauses = 0;
};

}  // namespace support
