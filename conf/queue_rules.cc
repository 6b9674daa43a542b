#include "conf/queue_rules.h"

namespace conf {

const QueueRule* find_rule(const std::map<std::string, QueueRule>& rules,
                           const std::string& domain) {
  if (const auto exact = rules.find(domain); exact != rules.end()) {
    return &exact->second;
  }
  for (std::size_t dot = domain.find('.'); dot != std::string::npos;
       dot = domain.find('.', dot + 1)) {
    if (const auto above = rules.find("*" + domain.substr(dot)); above != rules.end()) {
      return &above->second;
    }
  }
  return nullptr;
}

}  // namespace conf
