#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <optional>
#include <pwd.h>
#include <string>
#include <sysexits.h>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/sendmail_client.h"
#include "relay/cli/sendmail_message.h"
#include "relay/cli/sendmail_options.h"
#include "relay/settings.h"
#include "relay/smtp/dot_stuffing.h"

namespace relay::cli {
namespace {

/// Where the packaged configuration listens.
constexpr const char* kDefaultSocket = "/run/stsrelay/smtp.sock";
constexpr std::size_t kLongestHeader = std::size_t{4} << 20;

int fail(int status, const std::string& reason) {
  fmt::print(stderr, "sendmail: {}\n", reason);
  return status;
}

int fail_to_queue(const SendmailFailure& failure) {
  return fail(failure.status, "the message was NOT queued: " + failure.reason);
}

/// The daemon's socket and the name that addresses without a domain get.
struct Place {
  std::string socket;
  std::string hostname;
  std::vector<std::string> faults;  ///< of the configuration
};

std::string socket_of(const conf::Config& config) {
  for (const conf::Listener& listener : config.listen) {
    if (listener.address.is_unix()) {
      return listener.address.path;
    }
  }
  return {};
}

// Callers need not be allowed to read the configuration, nor must one that is being edited keep
// mail back: the packaged socket is tried then.
Place find_place(const SendmailOptions& options) {
  const auto config = load_config(options.config_file);
  Place place{options.socket, config ? config->hostname : system_hostname(), {}};
  if (!config) {
    place.faults = config.error();
  }
  if (place.socket.empty() && config) {
    place.socket = socket_of(*config);
    if (place.socket.empty()) {
      place.faults.push_back(fmt::format(
          "{}: listen: has no UNIX socket, which this command speaks to; add an entry with "
          "address: unix:{}",
          options.config_file, kDefaultSocket));
    }
  }
  if (place.socket.empty()) {
    place.socket = kDefaultSocket;
  }
  return place;
}

Submitter caller(const std::string& hostname) {
  std::array<char, 4096> text{};
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(::getuid(), &entry, text.data(), text.size(), &found) != 0 || found == nullptr) {
    return {fmt::format("uid{}", ::getuid()), {}, hostname};
  }
  const std::string gecos = found->pw_gecos == nullptr ? "" : found->pw_gecos;
  return {found->pw_name, gecos.substr(0, gecos.find(',')), hostname};
}

int unreachable(const Place& place, int error) {
  const auto reason = std::generic_category().message(error);
  if (error == EACCES || error == EPERM) {
    return fail(EX_NOPERM,
                fmt::format("the message was NOT queued: you may not use {}: {}; the setting "
                            "listen.socket.mode says who may",
                            place.socket, reason));
  }
  if (!place.faults.empty()) {
    for (const std::string& fault : place.faults) {
      static_cast<void>(fail(EX_CONFIG, fault));
    }
    return fail(EX_CONFIG, fmt::format("the message was NOT queued: nobody answers at {} either",
                                       place.socket));
  }
  return fail(EX_TEMPFAIL,
              fmt::format("the message was NOT queued: nobody answers at {}: {}; is the daemon "
                          "running? Start it with `systemctl start stsrelay` and send again",
                          place.socket, reason));
}

/// Standard input line by line, to its end, or to a line with a dot where that is meant.
class Input {
 public:
  explicit Input(SendmailOptions::Dot dot) : dot_(dot) {}

  std::optional<std::string> next() {
    while (!over_) {
      const auto state = ended_ ? TextLines::Input::at_end : TextLines::Input::goes_on;
      auto line = lines_.next(state);
      if (line) {
        over_ = dot_ == SendmailOptions::Dot::ends && *line == ".";
        return over_ ? std::nullopt : line;
      }
      over_ = ended_;
      read();
    }
    return std::nullopt;
  }
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] std::size_t waiting() const { return lines_.waiting(); }

 private:
  void read() {
    std::array<char, 65536> buffer{};
    const ssize_t count = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (count > 0) {
      lines_.receive({buffer.data(), static_cast<std::size_t>(count)});
    } else if (count == 0 || errno != EINTR) {
      ended_ = true;
      broken_ = count < 0;
    }
  }

  SendmailOptions::Dot dot_;
  TextLines lines_;
  bool ended_ = false;
  bool over_ = false;
  bool broken_ = false;
};

/// The content after the header section; first: its first line, if that was read already.
bool send_body(SendmailClient& client, Input& input, const std::string& text) {
  constexpr std::size_t kPiece = 65536;
  smtp::DotStuffer stuffer;
  std::string wire;
  stuffer.stuff(text, wire);
  while (auto line = input.next()) {
    stuffer.stuff(*line, wire);
    stuffer.stuff("\r\n", wire);
    if (wire.size() >= kPiece && !client.send(std::exchange(wire, {}))) {
      return false;
    }
  }
  if (input.broken()) {
    return false;
  }
  stuffer.finish(wire);
  return client.send(wire);
}

int send_message(const SendmailOptions& options, const Place& place) {
  Input input(options.dot);
  HeaderLines header;
  std::string body;
  while (auto line = input.next()) {
    if (header.take(*line) == HeaderLines::Next::body) {
      body = line->empty() ? "" : *line + "\r\n";
      break;
    }
    if (header.size() > kLongestHeader) {
      return fail(EX_DATAERR, "the message was NOT queued: its header is longer than 4 MiB");
    }
  }
  const auto submission = prepare_submission(header.fields(), options, caller(place.hostname));
  if (!submission) {
    return fail_to_queue({EX_DATAERR, submission.error()});
  }
  auto connected = SendmailClient::connect(place.socket);
  if (!connected) {
    return unreachable(place, connected.error());
  }
  SendmailClient& client = **connected;
  if (auto opened = client.open(*submission, options); !opened) {
    return fail_to_queue(opened.error());
  }
  const bool sent = send_body(client, input, submission->header + "\r\n" + body);
  if (input.broken()) {
    return fail_to_queue({EX_IOERR, "standard input cannot be read to its end"});
  }
  auto closed = client.close();
  if (!closed) {
    closed.error().reason += sent ? "" : " (while it was being sent)";
    return fail_to_queue(closed.error());
  }
  return EX_OK;
}

int converse(const Place& place) {
  auto connected = SendmailClient::connect(place.socket);
  if (!connected) {
    return unreachable(place, connected.error());
  }
  const auto done = (*connected)->pass_through(STDIN_FILENO, STDOUT_FILENO);
  return done ? EX_OK : fail(done.error().status, done.error().reason);
}

}  // namespace

int run_sendmail(const std::vector<std::string_view>& arguments) {
  static_cast<void>(std::signal(SIGPIPE, SIG_IGN));
  const auto options = parse_sendmail(arguments);
  if (!options) {
    return fail(EX_USAGE, options.error());
  }
  const auto place = find_place(*options);
  switch (options->mode) {
    case SendmailOptions::Mode::dialogue:
      return converse(place);
    case SendmailOptions::Mode::message:
      break;
  }
  return send_message(*options, place);
}

// Its own command line is read by parse_sendmail(); this is for help and completion.
void add_sendmail(CLI::App& app, Invocation& invocation) {
  CLI::App* const command = add_command(
      app, invocation, "sendmail",
      "Hand a message on standard input to the daemon, as programs expect of a command of this "
      "name: -t -i -f ADDRESS -F NAME -N NOTIFY -R RET -V ID -B TYPE -bm -bs",
      [] { return kDone; });
  command
      ->add_option("--socket", invocation.common.socket,
                   "The daemon's UNIX socket, if it is not the one of the configuration")
      ->type_name("PATH");
  command->footer(
      "Exit codes: 0 queued, 64 wrong usage, 65 no recipients or a message that was refused, 75 "
      "it could not be queued now, 77 not permitted, 78 wrong configuration.");
}

}  // namespace relay::cli
