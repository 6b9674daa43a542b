#include "relay/delivery/pauses.h"

#include <algorithm>

namespace relay::delivery {
namespace {

/// name: a host with its port, or without: at any.
bool names(std::string_view name, std::string_view place) {
  return place == name || (place.starts_with(name) && place.substr(name.size()).starts_with(':') &&
                           place.rfind(':') == name.size());
}

}  // namespace

const spool::Pause* Pauses::find(std::string_view domain, std::string_view next_hop) const {
  const auto found = std::ranges::find_if(pauses_, [&](const spool::Pause& pause) {
    switch (pause.kind) {
      case spool::Pause::Kind::everything:
        return true;
      case spool::Pause::Kind::domain:
        return pause.name == domain;
      case spool::Pause::Kind::next_hop:
        return names(pause.name, place_of(next_hop));
    }
    return false;
  });
  return found == pauses_.end() ? nullptr : &*found;
}

std::string_view place_of(std::string_view key) {
  for (const std::string_view kind : {"mx:", "host:"}) {
    if (key.starts_with(kind)) {
      return key.substr(kind.size());
    }
  }
  return key;
}

std::string subject_of(const spool::Pause& pause) {
  switch (pause.kind) {
    case spool::Pause::Kind::everything:
      return "everything";
    case spool::Pause::Kind::domain:
      return "the domain " + pause.name;
    case spool::Pause::Kind::next_hop:
      return "the next hop " + pause.name;
  }
  return {};
}

}  // namespace relay::delivery
