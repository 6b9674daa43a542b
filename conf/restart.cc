#include "conf/restart.h"

#include <algorithm>
#include <array>
#include <utility>

namespace conf {
namespace {

struct StartSetting {
  const char* key;
  bool (*same)(const Config& running, const Config& now);
  void (*keep)(const Config& running, Config& now);
};

/// A setting that is one member: part gives it from a Config, const or not.
template <class Part>
constexpr StartSetting setting(const char* key, Part /*part*/) {
  return {key,
          [](const Config& running, const Config& now) { return Part{}(running) == Part{}(now); },
          [](const Config& running, Config& now) { Part{}(now) = Part{}(running); }};
}

bool same_addresses(const Config& running, const Config& now) {
  return std::ranges::equal(running.listen, now.listen, [](const auto& a, const auto& b) {
    return a.address == b.address && a.socket == b.socket;
  });
}

/// Who may relay at an address is read at any time, the addresses are bound once.
void keep_addresses(const Config& running, Config& now) {
  std::vector<Listener> listeners = running.listen;
  for (Listener& listener : listeners) {
    const auto changed = std::ranges::find(now.listen, listener.address, &Listener::address);
    if (changed != now.listen.end()) {
      ListenerSocket socket = std::move(listener.socket);
      listener = *changed;
      listener.socket = std::move(socket);
    }
  }
  now.listen = std::move(listeners);
}

/// Where mail goes is decided with the routes; what it meets with is not.
bool same_staging(const Config& running, const Config& now) {
  if (!running.staging || !now.staging) {
    return running.staging == now.staging;
  }
  Staging like = *now.staging;
  like.faults = running.staging->faults;
  like.soft_bounce = running.staging->soft_bounce;
  return like == *running.staging;
}

void keep_staging(const Config& running, Config& now) {
  if (!same_staging(running, now)) {
    now.staging = running.staging;
  }
}

// What is bound, opened, started, sized or shared out once: sockets, the spool, threads, caches,
// resolvers, and by the routes which thread delivers to a domain.
constexpr std::array kStartSettings{
    setting(
        "user", [](auto& config) -> auto& { return config.user; }),
    setting(
        "workers", [](auto& config) -> auto& { return config.workers; }),
    StartSetting{"listen", same_addresses, keep_addresses},
    setting(
        "routes", [](auto& config) -> auto& { return config.routes; }),
    setting(
        "queue.path", [](auto& config) -> auto& { return config.queue.path; }),
    setting(
        "queue.min_free", [](auto& config) -> auto& { return config.queue.min_free; }),
    setting(
        "sts", [](auto& config) -> auto& { return config.sts; }),
    setting(
        "dns", [](auto& config) -> auto& { return config.dns; }),
    setting(
        "control.socket", [](auto& config) -> auto& { return config.control.socket; }),
    setting(
        "log.syslog_name", [](auto& config) -> auto& { return config.log.syslog_name; }),
    setting(
        "log.trace_memory", [](auto& config) -> auto& { return config.log.trace_memory; }),
    setting(
        "metrics", [](auto& config) -> auto& { return config.metrics; }),
    StartSetting{"staging", same_staging, keep_staging},
    setting(
        "events", [](auto& config) -> auto& { return config.events; }),
    setting(
        "test_world", [](auto& config) -> auto& { return config.test_world; }),
};

}  // namespace

std::vector<std::string> settings_needing_restart(const Config& running, const Config& now) {
  std::vector<std::string> keys;
  for (const StartSetting& setting : kStartSettings) {
    if (!setting.same(running, now)) {
      keys.emplace_back(setting.key);
    }
  }
  return keys;
}

Config reloaded(const Config& running, Config now) {
  for (const StartSetting& setting : kStartSettings) {
    setting.keep(running, now);
  }
  return now;
}

}  // namespace conf
