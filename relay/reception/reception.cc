#include "relay/reception/reception.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

namespace relay::reception {
namespace {

std::size_t cap(int value) {
  return static_cast<std::size_t>(std::max(value, 0));
}

}  // namespace

Reception::Reception(ReceptionContext context, std::vector<ListenerBinding> listeners)
    : context_(std::move(context)), listeners_(std::move(listeners)) {
  for (auto& binding : listeners_) {
    acceptors_.push_back(std::make_unique<net::Acceptor>(
        context_.loop, binding.socket,
        [this, &listener = binding.listener](std::unique_ptr<net::Connection> connection) {
          accepted(std::move(connection), listener);
        }));
    acceptors_.back()->expect_proxy_headers(proxy_rules(binding));
  }
}

// Asked at each connection, so that a reload counts.
net::ProxyRules Reception::proxy_rules(const ListenerBinding& binding) {
  net::ProxyRules rules;
  rules.expects_header = [&listener = binding.listener](const auto& peer) {
    const auto& proxies = listener.rules.proxy_protocol;
    return peer && std::any_of(proxies.begin(), proxies.end(), [&peer](const auto& network) {
             return network.contains(peer->ip());
           });
  };
  rules.refused = [this](const auto& proxy, const std::string& detail) {
    context_.log.warning("refused", {{"client", proxy ? proxy->ip() : std::string()},
                                     {"reason", "proxy-header"},
                                     {"detail", detail}});
  };
  return rules;
}

void Reception::reconfigure(std::shared_ptr<const ReceptionSettings> settings) {
  context_.settings = std::move(settings);
  for (auto& binding : listeners_) {
    const auto& listen = context_.settings->listen;
    const auto same = std::find_if(listen.begin(), listen.end(), [&binding](const auto& listener) {
      return listener.rules.address == binding.listener.rules.address;
    });
    if (same != listen.end()) {
      binding.listener = *same;
    }
  }
}

void Reception::accepted(std::unique_ptr<net::Connection> connection,
                         const ListenerSettings& listener) {
  const Client peer = client_of(*connection);
  const std::string& client = peer.name;
  const auto& limits = context_.settings->limits;
  auto place = context_.connections->take(
      client, {cap(limits.connections), cap(limits.connections_per_client)},
      listener.rules.address.text());
  if (const auto* full = std::get_if<ConnectionCounts::Full>(&place)) {
    const bool own = *full == ConnectionCounts::Full::client;
    turn_away(std::move(connection), listener, client,
              {own ? "limits.connections_per_client" : "limits.connections",
               own ? "Too many connections from your address" : "Too many connections"});
    return;
  }
  // Who has yet to prove that it may send is counted once it has.
  std::optional<Standing> standing = Standing{};
  if (permission(listener.rules, peer.ip).relaying == smtp::Relaying::allowed) {
    const auto own = sending_limits(listener.rules, peer, {});
    standing = context_.clients.admit(counted_name(peer), own);
    if (!standing) {
      turn_away(std::move(connection), listener, client,
                {"listen.limits.connections", too_many_connections(own)});
      return;
    }
  }
  context_.log.debug("connect", {{"client", client}, {"listener", listener.rules.address.text()}});
  auto inbound = std::make_unique<Inbound>(
      Inbound::Parts{context_.loop, context_.clock, context_.spool, context_.log,
                     context_.passwords, context_.throttle, context_.settings, context_.connections,
                     context_.clients},
      std::move(connection), *std::move(standing), listener, [this](Inbound* one) { ended(one); });
  auto* key = inbound.get();
  sessions_.emplace(key,
                    Session{std::get<std::unique_ptr<ConnectionCounts::Place>>(std::move(place)),
                            std::move(inbound)});
}

void Reception::turn_away(std::unique_ptr<net::Connection> connection,
                          const ListenerSettings& listener, const std::string& client,
                          const Crowd& crowd) {
  context_.log.info("refused", {{"client", client}, {"reason", crowd.reason}});
  if (listener.rules.tls.mode != conf::ListenerTls::Mode::implicit) {
    connection->write(fmt::format("421 4.7.0 {} {}\r\n", context_.settings->hostname, crowd.text));
  }
  net::Connection::close_gracefully(std::move(connection));
}

void Reception::ended(Inbound* inbound) {
  sessions_.erase(inbound);
  report_drained();
}

void Reception::drain(std::function<void()> done) {
  drained_ = std::move(done);
  acceptors_.clear();
  std::vector<Inbound*> present;
  for (const auto& [inbound, session] : sessions_) {
    present.push_back(inbound);
  }
  for (auto* inbound : present) {
    inbound->shut_down();  // may end the session
  }
  report_drained();
}

// Once, and from the loop, so that the caller of drain() is never called back inside it.
void Reception::report_drained() {
  if (drained_ && sessions_.empty()) {
    context_.loop.post(std::exchange(drained_, nullptr));
  }
}

}  // namespace relay::reception
