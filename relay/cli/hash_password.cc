#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <termios.h>
#include <unistd.h>

#include <fmt/format.h>

#include "relay/cli/commands.h"
#include "relay/cli/output.h"
#include "relay/reception/password.h"

namespace relay::cli {
namespace {

/// The terminal shows nothing of what is typed while this lives.
class NoEcho {
 public:
  NoEcho() {
    if (::tcgetattr(STDIN_FILENO, &before_) == 0) {
      termios silent = before_;
      silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
      changed_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
    }
  }
  ~NoEcho() {
    if (changed_) {
      ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
    }
  }
  NoEcho(const NoEcho&) = delete;
  NoEcho& operator=(const NoEcho&) = delete;
  [[nodiscard]] bool works() const { return changed_; }

 private:
  termios before_{};
  bool changed_ = false;
};

std::optional<std::string> next_line() {
  std::string text;
  if (!std::getline(std::cin, text)) {
    return std::nullopt;
  }
  if (text.ends_with('\r')) {
    text.pop_back();
  }
  return text;
}

std::optional<std::string> asked(const char* prompt) {
  fmt::print(stderr, "{}", prompt);
  auto text = next_line();
  fmt::print(stderr, "\n");
  return text;
}

/// nullopt: there was none, or the two did not agree; the reason was said.
std::optional<std::string> read_password() {
  std::optional<std::string> password;
  if (::isatty(STDIN_FILENO) == 0) {
    password = next_line();
  } else {
    const NoEcho silence;
    if (!silence.works()) {
      fmt::print(stderr, "stsrelay: the terminal cannot be made silent\n");
      return std::nullopt;
    }
    password = asked("Password: ");
    if (password && asked("Again: ") != password) {
      fmt::print(stderr, "stsrelay: the two are not the same\n");
      return std::nullopt;
    }
  }
  if (!password || password->empty()) {
    fmt::print(stderr, "stsrelay: no password was given\n");
    return std::nullopt;
  }
  return password;
}

struct HashOptions {
  std::string user;
  reception::HashMethod method = reception::HashMethod::yescrypt;
};

int print_hash(const HashOptions& options) {
  auto password = read_password();
  if (!password) {
    return kFailed;
  }
  const auto hash = reception::hash_password(*password, options.method);
  reception::wipe(*password);
  if (!hash) {
    fmt::print(stderr, "stsrelay: a password has at most 511 octets and no NUL\n");
    return kFailed;
  }
  print(fmt::format("{}{}{}\n", options.user, options.user.empty() ? "" : ":", *hash));
  return kDone;
}

}  // namespace

void add_hash_password(CLI::App& app, Invocation& invocation) {
  const std::map<std::string, reception::HashMethod> methods{
      {"yescrypt", reception::HashMethod::yescrypt},
      {"bcrypt", reception::HashMethod::bcrypt},
      {"sha512-crypt", reception::HashMethod::sha512_crypt}};
  const auto options = std::make_shared<HashOptions>();
  CLI::App* const command = app.add_subcommand(
      "hash-password",
      "Print the hash of a password for the file of listen[].auth.users. It is read from the "
      "terminal without echo, or from standard input; never from the command line");
  command->footer(kExitCodes);
  command->add_option("--user", options->user, "Print the whole line NAME:HASH")->type_name("NAME");
  command->add_option("--method", options->method, "yescrypt, bcrypt or sha512-crypt")
      ->transform(CLI::CheckedTransformer(methods))
      ->option_text("METHOD=yescrypt");
  command->callback(
      [&invocation, options] { invocation.run = [options] { return print_hash(*options); }; });
}

}  // namespace relay::cli
