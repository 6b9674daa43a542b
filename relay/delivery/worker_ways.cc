// By which ways a worker sends a message on: the next hops that its settings name, each with what
// differs by it.
#include <algorithm>
#include <utility>

#include "relay/delivery/worker.h"

namespace relay::delivery {
namespace {

std::optional<net::SocketAddress> source(const std::string& of_route, const std::string& of_all) {
  const std::string& ip = of_route.empty() ? of_all : of_route;
  return ip.empty() ? std::nullopt : net::SocketAddress::from_ip(ip, 0);
}

}  // namespace

std::vector<Way> Worker::ways(std::vector<NextHop> hops, const std::string& domain) {
  const net::WallTime now = clock_.wall();
  std::stable_partition(hops.begin(), hops.end(), [&](const NextHop& hop) {
    return hops.size() == 1 || !upstreams_.dead(hop.key(), now);
  });
  const conf::Delivery& delivery = settings_->delivery;
  std::vector<Way> ways;
  ways.reserve(hops.size());
  for (NextHop& hop : hops) {
    Way way{attempt_settings(hop, domain), hop, client_settings(hop),
            source(hop.source_ipv4, delivery.source_ipv4),
            source(hop.source_ipv6, delivery.source_ipv6)};
    if (hop.upstream != nullptr && hop.upstream->auth) {
      const auto known = settings_->credentials->find(account_of(*hop.upstream));
      way.credentials = known == settings_->credentials->end() ? nullptr : known->second;
    }
    ways.push_back(std::move(way));
  }
  return ways;
}

AttemptSettings Worker::attempt_settings(const NextHop& next_hop, const std::string& domain) {
  const conf::Delivery& delivery = settings_->delivery;
  AttemptSettings settings;
  settings.own_name = settings_->hostname;
  settings.own_addresses = settings_->own_addresses;
  settings.hosts = static_cast<std::size_t>(delivery.hosts_per_attempt);
  settings.addresses_per_host = static_cast<std::size_t>(delivery.addresses_per_host);
  settings.sessions = static_cast<std::size_t>(delivery.sessions_per_attempt);
  settings.private_addresses = settings_->private_addresses;
  settings.families = families(delivery, domain);
  settings.rule = settings_->rules->find(next_hop.policy_domain(), clock_.wall());
  settings.composition = settings_->composition;
  settings.reply_rules = delivery.reply_rules;
  settings.tlsa_port = tlsa_port(next_hop, settings_->smtp_port);
  settings.shuffle = [this](std::span<MxHost> hosts) {
    std::shuffle(hosts.begin(), hosts.end(), random_);
  };
  return settings;
}

Families Worker::families(const conf::Delivery& delivery, const std::string& domain) {
  if (!uses_ipv6(delivery, domain)) {
    return Families::only_ipv4;
  }
  switch (delivery.prefer) {
    case conf::Delivery::Prefer::ipv6:
      break;
    case conf::Delivery::Prefer::ipv4:
      return Families::ipv4_first;
    case conf::Delivery::Prefer::none:
      return random_() % 2 == 0 ? Families::ipv4_first : Families::ipv6_first;
  }
  return Families::ipv6_first;
}

smtp::ClientSettings Worker::client_settings(const NextHop& next_hop) const {
  const conf::Delivery& delivery = settings_->delivery;
  const conf::Timeouts& t = delivery.timeouts;
  smtp::ClientSettings settings;
  settings.helo_name = !next_hop.helo.empty()   ? next_hop.helo
                       : !delivery.helo.empty() ? delivery.helo
                                                : settings_->hostname;
  settings.timeouts = {t.connect, t.greeting, t.ehlo, t.starttls,  t.mail,
                       t.rcpt,    t.data,     t.body, t.final_dot, t.rset};
  settings.force_8bit = delivery.force_8bit;
  if (next_hop.upstream != nullptr &&
      next_hop.upstream->effective_tls() == conf::Upstream::Tls::implicit) {
    settings.tls_start = smtp::TlsStart::implicit;
  }
  return settings;
}

std::optional<std::pair<std::string, conf::Rate>> Worker::rate_of(
    const PendingQueue::Ready& ready) const {
  const std::vector<conf::Route>& routes = settings_->routes;
  const auto route = std::find_if(routes.begin(), routes.end(), [&](const conf::Route& each) {
    return !each.rate.empty() && leads_to(each, ready.destination, settings_->smtp_port);
  });
  if (route != routes.end()) {
    return std::pair(ready.destination, conf::parse_rate(route->rate).value_or(conf::Rate{}));
  }
  const conf::DestinationRule* rule = rule_of(settings_->delivery, ready.group.domain);
  if (rule == nullptr || rule->rate.empty()) {
    return std::nullopt;
  }
  return std::pair(ready.group.domain, conf::parse_rate(rule->rate).value_or(conf::Rate{}));
}

void Worker::pause(const std::string& destination, std::chrono::milliseconds wait) {
  if (wait.count() > 0) {
    rates_.pause(destination, clock_.wall() + wait);
    log_.info("destination-paused",
              {{"destination", destination}, {"seconds", std::to_string(wait.count() / 1000)}});
  }
}

bool Worker::over_rate(const PendingQueue::Ready& ready) {
  const net::WallTime now = clock_.wall();
  auto until = rates_.paused_until(ready.destination, now);
  const auto limited = rate_of(ready);
  if (!until && limited) {
    until = rates_.blocked_until(limited->first, limited->second, now);
  }
  if (!until) {
    return false;
  }
  queue_.finished(ready, WindowFeedback::none);
  queue_.add(ready.group, ready.destination, *until, now);
  return true;
}

void Worker::charge_rate(const PendingQueue::Ready& ready, std::size_t recipients) {
  if (const auto limited = rate_of(ready)) {
    rates_.charge(limited->first, limited->second, recipients, clock_.wall());
  }
}

std::string Worker::destination_key(const MailPath& path) const {
  auto found = next_hops(settings_->routes, path, settings_->smtp_port);
  const auto* hops = std::get_if<std::vector<NextHop>>(&found);
  return hops != nullptr ? hops->front().key() : path.domain;
}

void Worker::enqueue(Group group, const MailPath& path, net::WallTime next_try) {
  std::string key = destination_key(path);
  if (const conf::DestinationRule* rule = rule_of(settings_->delivery, path.domain);
      rule != nullptr && rule->connections > 0) {
    queue_.limit_destination(key, rule->connections);
  }
  queue_.add(std::move(group), std::move(key), next_try, clock_.wall());
}

PoolLimits Worker::pool_limits() const {
  const conf::Delivery& delivery = settings_->delivery;
  const QueueLimits limits = queue_limits();
  return {delivery.connection_idle, delivery.connection_age, delivery.messages_per_connection,
          static_cast<std::size_t>(limits.total), static_cast<std::size_t>(limits.per_destination)};
}

QueueLimits Worker::queue_limits() const {
  return {settings_->delivery.connections_per_destination,
          std::max(1, settings_->delivery.connections / settings_->workers)};
}

}  // namespace relay::delivery
