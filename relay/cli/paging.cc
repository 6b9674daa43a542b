#include "relay/cli/paging.h"

#include <algorithm>
#include <limits>

namespace relay::cli {

Expected<nlohmann::ordered_json, int> ask_for_list(
    Daemon& daemon, const char* name, std::size_t limit,
    const std::function<control::Request(const nlohmann::ordered_json& next, std::size_t size)>&
        request) {
  using Json = nlohmann::ordered_json;
  std::size_t wanted = limit == 0 ? std::numeric_limits<std::size_t>::max() : limit;
  Json all{{name, Json::array()}, {"next", nullptr}};
  do {
    auto page = daemon.ask(request(all["next"], std::min(wanted, control::kDefaultLimit)));
    if (!page) {
      return page;
    }
    Json& entries = page->at(name);
    wanted -= std::min(wanted, entries.size());
    for (Json& entry : entries) {
      all[name].push_back(std::move(entry));
    }
    all["next"] = page->at("next");
  } while (wanted > 0 && !all["next"].is_null());
  return all;
}

}  // namespace relay::cli
