// ControlActions: clients, their limits and holds.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "relay/control/answers.h"
#include "relay/control/control_actions.h"
#include "relay/control/views.h"

namespace relay::control {
namespace {

/// What follows a client's name as the reason of its hold.
std::string hold_reason(const std::string& given) {
  return given.empty() ? "is held by the operator" : "is held by the operator: " + given;
}

Response released(const std::string& name, bool client, const Json& messages) {
  if (!client && messages.at("messages") == 0) {
    return refuse(fmt::format("{} is not held; `stsrelay clients` lists who is", name));
  }
  return answer(Json{{"released", name},
                     {"messages", messages.at("messages")},
                     {"recipients", messages.at("recipients")}});
}

}  // namespace

Response ControlActions::list_clients(const ClientList& request) const {
  const auto clients = daemon_.clients();
  Page page(request.limit);
  std::string last;
  for (const reception::ClientState& client : clients) {
    if (client.name <= request.after) {
      continue;
    }
    // A page that is full is the last one unless there is one entry more.
    if (page.full()) {
      return page.respond("clients", last);
    }
    page.add(client_view(client));
    last = client.name;
  }
  return page.respond("clients", nullptr);
}

void ControlActions::hold_client(const ClientHoldSet& request, Respond respond) const {
  const spool::ClientHold hold{request.name, hold_reason(request.reason), clock_.wall(),
                               request.by};
  const Json view = client_hold_view(hold);
  daemon_.hold_client(hold, [view, respond = std::move(respond)](const spool::Stored<void>& done) {
    respond(done ? answer(view) : refuse(done.error()));
  });
}

// The client first: what it sends from then on goes out, and what was on its way to be held is in
// the queue when its messages are looked for.
void ControlActions::release_client(const ClientRelease& request, Respond respond) {
  daemon_.release_client(
      request.name, request.by,
      [this, request, respond = std::move(respond)](const spool::Stored<std::size_t>& removed) {
        if (!removed) {
          respond(refuse(removed.error()));
          return;
        }
        const bool client = *removed > 0;
        if (request.keep_messages) {
          respond(released(request.name, client, Json{{"messages", 0}, {"recipients", 0}}));
          return;
        }
        QueueChange change{QueueAction::release, {}, {}, false, false, {}, request.by};
        change.filter.held_client = request.name;
        change_queue(change, [name = request.name, client, respond](const Response& changed) {
          respond(changed.error.empty() ? released(name, client, Json::parse(changed.data))
                                        : changed);
        });
      });
}

}  // namespace relay::control
