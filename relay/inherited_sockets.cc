#include "relay/inherited_sockets.h"

#include <algorithm>
#include <cstdlib>
#include <sys/socket.h>
#include <utility>

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

namespace relay {
namespace {

std::string address_of(const net::ListeningSocket& socket) {
  const auto address = socket.address();
  return address ? address->literal() : "no IP address";
}

struct FreeNames {
  void operator()(char** names) const {
    for (char** name = names; *name != nullptr; ++name) {
      std::free(*name);
    }
    std::free(names);
  }
};

}  // namespace

Expected<InheritedSockets, std::string> InheritedSockets::take() {
  char** listed = nullptr;
  const int count = ::sd_listen_fds_with_names(1, &listed);
  const std::unique_ptr<char*, FreeNames> names(listed);
  InheritedSockets taken;
  for (int i = 0; i < count; ++i) {
    const int fd = SD_LISTEN_FDS_START + i;
    std::string name = names ? names.get()[i] : "";
    if (::sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0) {
      return Unexpected<std::string>(fmt::format(
          "the service manager handed over \"{}\", which is no listening stream socket; "
          "give its socket unit ListenStream=",
          name));
    }
    taken.sockets_.push_back({std::move(name), net::ListeningSocket::adopt(fd)});
  }
  return taken;
}

std::shared_ptr<net::ListeningSocket> InheritedSockets::claim(const net::SocketAddress& address) {
  const auto found = std::ranges::find_if(sockets_, [&address](const Socket& each) {
    const auto bound = each.socket->address();
    return bound && bound->literal() == address.literal();
  });
  if (found == sockets_.end()) {
    return nullptr;
  }
  auto claimed = std::move(found->socket);
  sockets_.erase(found);
  return claimed;
}

std::vector<std::string> InheritedSockets::unclaimed() const {
  std::vector<std::string> texts;
  texts.reserve(sockets_.size());
  for (const Socket& each : sockets_) {
    texts.push_back(fmt::format("{} ({})", each.name, address_of(*each.socket)));
  }
  return texts;
}

}  // namespace relay
