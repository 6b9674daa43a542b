#include "relay/cli/control_client.h"

#include <array>
#include <cerrno>
#include <cstring>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#include "relay/cli/output.h"
#include "relay/settings.h"

namespace relay::cli {
namespace {

// A retry of a long queue waits for the disk; everything else is answered at once.
constexpr std::chrono::minutes kReplyPatience{2};

std::string unreachable(const std::string& path, int error) {
  std::string remedy;
  switch (error) {
    case EACCES:
    case EPERM:
      remedy = "only root and the account that the daemon runs as may use it";
      break;
    default:
      remedy =
          "is it running? Start it with `stsrelay run`, or name its configuration with --config "
          "or its socket with --socket";
  }
  return fmt::format("cannot reach the daemon at {}: {}; {}", path,
                     std::generic_category().message(error), remedy);
}

void set_timeouts(int fd, std::chrono::milliseconds timeout) {
  timeval limit{};
  limit.tv_sec = std::chrono::duration_cast<std::chrono::seconds>(timeout).count();
  limit.tv_usec = (timeout.count() % 1000) * 1000;
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

}  // namespace

Expected<std::unique_ptr<ControlClient>, std::string> ControlClient::connect(
    const std::string& path, std::chrono::milliseconds timeout) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Unexpected<std::string>(unreachable(path, ENAMETOOLONG));
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return Unexpected<std::string>(unreachable(path, errno));
  }
  std::unique_ptr<ControlClient> client(new ControlClient(fd, path, timeout));
  set_timeouts(fd, timeout);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the sockets API's own idiom
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Unexpected<std::string>(unreachable(path, errno));
  }
  return client;
}

ControlClient::~ControlClient() {
  ::close(fd_);
}

bool ControlClient::send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) {
      continue;
    }
    if (sent <= 0) {
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::optional<std::string> ControlClient::read_line() {
  std::array<char, 65536> buffer{};
  while (true) {
    if (auto line = lines_.next()) {
      return line;
    }
    const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      errno = count == 0 ? ECONNRESET : errno;
      return std::nullopt;
    }
    lines_.receive({buffer.data(), static_cast<std::size_t>(count)});
    if (lines_.overflowed()) {
      errno = EMSGSIZE;
      return std::nullopt;
    }
  }
}

Expected<control::Response, std::string> ControlClient::ask(const control::Request& request) {
  const bool sent = send(control::to_line(request));
  // The daemon may have said why before it closed: read even if sending failed.
  const auto line = read_line();
  if (!line) {
    const bool late = sent && errno == EAGAIN;
    return Unexpected<std::string>(
        late ? fmt::format("the daemon at {} did not answer within {} s; see its log", path_,
                           std::chrono::duration_cast<std::chrono::seconds>(timeout_).count())
             : fmt::format("the daemon at {} broke off: {}; see its log", path_,
                           std::generic_category().message(errno)));
  }
  auto response = control::parse_response(*line);
  if (!response) {
    return Unexpected<std::string>(fmt::format(
        "what answers at {} is no stsrelay of this version: {}", path_, response.error()));
  }
  return *response;
}

Expected<std::string, int> Daemon::socket_path() const {
  if (!options_.socket.empty()) {
    return options_.socket;
  }
  const auto config = load_config(options_.config_file);
  if (!config) {
    for (const std::string& error : config.error()) {
      complain(error);
    }
    complain("the control socket is not known without the configuration; name it with --socket");
    return Unexpected<int>(kFailed);
  }
  return config->control.socket;
}

Expected<nlohmann::ordered_json, int> Daemon::ask(const control::Request& request) {
  if (client_ == nullptr) {
    const auto path = socket_path();
    if (!path) {
      return Unexpected<int>(path.error());
    }
    auto client = ControlClient::connect(*path, kReplyPatience);
    if (!client) {
      complain(client.error());
      return Unexpected<int>(kUnreachable);
    }
    client_ = std::move(*client);
  }
  const auto response = client_->ask(request);
  if (!response) {
    complain(response.error());
    return Unexpected<int>(kUnreachable);
  }
  if (!response->error.empty()) {
    complain(response->error);
    return Unexpected<int>(kFailed);
  }
  return nlohmann::ordered_json::parse(response->data);
}

}  // namespace relay::cli
