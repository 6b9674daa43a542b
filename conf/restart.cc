#include "conf/restart.h"

#include <algorithm>
#include <array>

namespace conf {
namespace {

struct StartSetting {
  const char* key;
  bool (*same)(const Config&, const Config&);
};

// What is bound, opened, started or sized once: sockets, the spool, threads, caches, resolvers.
constexpr std::array kStartSettings{
    StartSetting{"user", [](const Config& a, const Config& b) { return a.user == b.user; }},
    StartSetting{"workers",
                 [](const Config& a, const Config& b) { return a.workers == b.workers; }},
    StartSetting{"listen",
                 [](const Config& a, const Config& b) {
                   return std::ranges::equal(a.listen, b.listen, {}, &Listener::address,
                                             &Listener::address);
                 }},
    StartSetting{"queue.path",
                 [](const Config& a, const Config& b) { return a.queue.path == b.queue.path; }},
    StartSetting{
        "queue.min_free",
        [](const Config& a, const Config& b) { return a.queue.min_free == b.queue.min_free; }},
    StartSetting{"sts", [](const Config& a, const Config& b) { return a.sts == b.sts; }},
    StartSetting{"dns", [](const Config& a, const Config& b) { return a.dns == b.dns; }},
    StartSetting{
        "control.socket",
        [](const Config& a, const Config& b) { return a.control.socket == b.control.socket; }},
    StartSetting{"test_world",
                 [](const Config& a, const Config& b) { return a.test_world == b.test_world; }},
};

}  // namespace

std::vector<std::string> settings_needing_restart(const Config& old, const Config& now) {
  std::vector<std::string> keys;
  for (const StartSetting& setting : kStartSettings) {
    if (!setting.same(old, now)) {
      keys.emplace_back(setting.key);
    }
  }
  return keys;
}

}  // namespace conf
