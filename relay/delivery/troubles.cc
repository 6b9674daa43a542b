#include "relay/delivery/troubles.h"

#include <algorithm>

namespace relay::delivery {

bool Troubles::any(Trouble::Kind kind) const {
  return std::any_of(all_.begin(), all_.end(),
                     [&](const Trouble& trouble) { return trouble.kind == kind; });
}

std::optional<Trouble::Kind> Troubles::newest() const {
  return all_.empty() ? std::nullopt : std::optional(all_.back().kind);
}

Trouble Troubles::decisive() const {
  for (const Trouble::Kind kind : {Trouble::Kind::policy, Trouble::Kind::temporary,
                                   Trouble::Kind::requiretls, Trouble::Kind::unsuitable}) {
    const auto found = std::find_if(all_.rbegin(), all_.rend(),
                                    [&](const Trouble& trouble) { return trouble.kind == kind; });
    if (found != all_.rend()) {
      return *found;
    }
  }
  if (!all_.empty()) {
    return all_.back();
  }
  return {Trouble::Kind::temporary, "4.4.4", "no host could be tried", {}, {}, {}};
}

}  // namespace relay::delivery
