// The command line's end of the control socket: blocking, with a timeout.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include <nlohmann/json.hpp>

#include "relay/cli/commands.h"
#include "relay/control/control_protocol.h"
#include "relay/net/expected.h"

namespace relay::cli {

class ControlClient {
 public:
  /// Connects to the daemon. The error is a sentence with what to do.
  static Expected<std::unique_ptr<ControlClient>, std::string> connect(
      const std::string& path, std::chrono::milliseconds timeout);
  ~ControlClient();
  ControlClient(const ControlClient&) = delete;
  ControlClient& operator=(const ControlClient&) = delete;

  /// One request and its response. The error: the daemon did not answer in time, or not in its
  /// language.
  Expected<control::Response, std::string> ask(const control::Request& request);

 private:
  static constexpr std::size_t kMaxResponse = 256U << 20;

  ControlClient(int fd, std::string path, std::chrono::milliseconds timeout)
      : fd_(fd), path_(std::move(path)), timeout_(timeout) {}
  [[nodiscard]] bool send(std::string_view bytes) const;
  std::optional<std::string> read_line();

  int fd_;
  std::string path_;
  std::chrono::milliseconds timeout_;
  control::LineBuffer lines_{kMaxResponse};
};

/// Asks the daemon that the options name and says what goes wrong, if anything does. The exit code
/// is then the error.
class Daemon {
 public:
  // A retry of a long queue waits for the disk; everything else is answered at once.
  static constexpr std::chrono::minutes kPatience{2};

  explicit Daemon(const CommonOptions& options, std::chrono::milliseconds patience = kPatience)
      : options_(options), patience_(patience) {}
  /// The response's data.
  Expected<nlohmann::ordered_json, int> ask(const control::Request& request);

 private:
  [[nodiscard]] Expected<std::string, int> socket_path() const;

  const CommonOptions& options_;
  std::chrono::milliseconds patience_;
  std::unique_ptr<ControlClient> client_;
};

}  // namespace relay::cli
