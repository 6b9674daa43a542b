#include "conf/routes.h"

#include <array>

namespace conf {

std::string Route::title() const {
  std::string words;
  for (const std::string* const part : std::array{&match, &sender, &listener}) {
    if (!part->empty()) {
      words += (words.empty() ? "" : " and ") + *part;
    }
  }
  return words;
}

}  // namespace conf
