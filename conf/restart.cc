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
  return std::ranges::equal(running.listen, now.listen, {}, &Listener::address, &Listener::address);
}

/// Who may relay at an address is read at any time, the addresses are bound once.
void keep_addresses(const Config& running, Config& now) {
  std::vector<Listener> listeners = running.listen;
  for (Listener& listener : listeners) {
    const auto changed = std::ranges::find(now.listen, listener.address, &Listener::address);
    if (changed != now.listen.end()) {
      listener = *changed;
    }
  }
  now.listen = std::move(listeners);
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
