#include "conf/listener.h"

#include "conf/names.h"

namespace conf {
namespace {

constexpr std::string_view kUnix = "unix:";

}  // namespace

std::string ListenAddress::text() const {
  return is_unix() ? std::string(kUnix) + path : AddressLiteral::text();
}

std::optional<ListenAddress> parse_listen_address(std::string_view text,
                                                  std::uint16_t default_port) {
  if (text.starts_with(kUnix)) {
    std::string path(text.substr(kUnix.size()));
    const bool fine = path.size() > 1 && !fault_of(TextKind::file, path);
    return fine ? std::optional(ListenAddress{{}, std::move(path)}) : std::nullopt;
  }
  auto address = parse_address(text, default_port);
  return address ? std::optional(ListenAddress{*std::move(address), {}}) : std::nullopt;
}

}  // namespace conf
