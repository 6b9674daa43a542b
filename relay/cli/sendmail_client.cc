#include "relay/cli/sendmail_client.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include "relay/smtp/ascii.h"

namespace relay::cli {
namespace {

constexpr int kContinue = 354;
constexpr int kOk = 250;

// RFC 5321 §4.5.3.2.6: the answer to the end of data may take ten minutes.
constexpr long kPatienceSeconds = 600;

Unexpected<SendmailFailure> failure(int status, std::string reason) {
  return Unexpected<SendmailFailure>(SendmailFailure{status, std::move(reason)});
}

/// What a refusal means to the caller of a program.
int status_of(const smtp::Reply& reply) {
  if (reply.severity() == 4) {
    return EX_TEMPFAIL;
  }
  return reply.enhanced_code().starts_with("5.7.") ? EX_NOPERM : EX_DATAERR;
}

bool is_ascii(std::string_view text) {
  return std::all_of(text.begin(), text.end(), smtp::is_ascii);
}

std::string mail_line(const Submission& submission, const SendmailOptions& options) {
  auto line = fmt::format("MAIL FROM:<{}>", submission.sender);
  if (options.body != SendmailOptions::Body::any) {
    line += options.body == SendmailOptions::Body::seven_bit ? " BODY=7BIT" : " BODY=8BITMIME";
  }
  if (!is_ascii(submission.sender) ||
      !std::all_of(submission.recipients.begin(), submission.recipients.end(), is_ascii)) {
    line += " SMTPUTF8";
  }
  if (!options.ret.empty()) {
    line += " RET=" + options.ret;
  }
  if (!options.envid.empty()) {
    line += " ENVID=" + options.envid;
  }
  return line;
}

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

Expected<std::unique_ptr<SendmailClient>, int> SendmailClient::connect(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return Unexpected<int>(ENAMETOOLONG);
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return Unexpected<int>(errno);
  }
  std::unique_ptr<SendmailClient> client(new SendmailClient(fd));
  const timeval limit{kPatienceSeconds, 0};
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast): the sockets API's own idiom
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return Unexpected<int>(errno);
  }
  return client;
}

SendmailClient::~SendmailClient() {
  ::close(fd_);
}

bool SendmailClient::send(std::string_view bytes) const {
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

Expected<smtp::Reply, SendmailFailure> SendmailClient::reply() {
  std::array<char, 4096> buffer{};
  while (true) {
    std::string_view rest = received_;
    auto parsed = parser_.feed(rest);
    received_.erase(0, received_.size() - rest.size());
    if (!parsed) {
      return failure(EX_TEMPFAIL, "what answers there speaks no SMTP: " + parsed.error().reason);
    }
    if (*parsed) {
      return std::move(**parsed);
    }
    const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
    if (count < 0 && errno == EINTR) {
      continue;
    }
    if (count <= 0) {
      return failure(EX_TEMPFAIL,
                     count == 0
                         ? std::string("the daemon closed the connection; see its log")
                         : "the daemon did not answer: " + std::generic_category().message(errno));
    }
    received_.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

Expected<void, SendmailFailure> SendmailClient::command(const std::string& line, int code) {
  // What was said before the connection broke is worth more than that it broke.
  static_cast<void>(send(line + "\r\n"));
  const auto answer = reply();
  if (!answer) {
    return Unexpected<SendmailFailure>(answer.error());
  }
  return answer->code == code ? Expected<void, SendmailFailure>()
                              : failure(status_of(*answer), answer->text());
}

Expected<void, SendmailFailure> SendmailClient::open(const Submission& submission,
                                                     const SendmailOptions& options) {
  const auto greeting = reply();
  if (!greeting) {
    return Unexpected<SendmailFailure>(greeting.error());
  }
  if (greeting->severity() != 2) {
    return failure(status_of(*greeting), greeting->text());
  }
  for (const auto& line : {std::string("EHLO localhost"), mail_line(submission, options)}) {
    if (auto done = command(line, kOk); !done) {
      return done;
    }
  }
  const auto notify = options.notify.empty() ? std::string() : " NOTIFY=" + options.notify;
  for (const std::string& recipient : submission.recipients) {
    auto done = command(fmt::format("RCPT TO:<{}>{}", recipient, notify), kOk);
    if (!done) {
      done.error().reason = fmt::format("{}: {}", recipient, done.error().reason);
      return done;
    }
  }
  return command("DATA", kContinue);
}

Expected<void, SendmailFailure> SendmailClient::close() {
  const auto answer = reply();
  if (!answer) {
    return Unexpected<SendmailFailure>(answer.error());
  }
  if (answer->code != kOk) {
    return failure(status_of(*answer), answer->text());
  }
  static_cast<void>(send("QUIT\r\n"));
  return {};
}

bool SendmailClient::pass_on(int input, std::span<char> buffer, bool& whole_line) const {
  const ssize_t count = ::read(input, buffer.data(), buffer.size());
  const std::string_view said(buffer.data(), static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  if (said.empty()) {
    // The answers to what was said are still to come, and then an end.
    static_cast<void>(whole_line && send("QUIT\r\n"));
    ::shutdown(fd_, SHUT_WR);
    return false;
  }
  whole_line = said.ends_with('\n');
  return send(said);
}

Expected<void, SendmailFailure> SendmailClient::pass_through(int input, int output) const {
  std::array<char, 65536> buffer{};
  std::array<pollfd, 2> ends{{{fd_, POLLIN, 0}, {input, POLLIN, 0}}};
  bool whole_line = true;
  while (true) {
    if (::poll(ends.data(), ends.size(), -1) < 0 && errno != EINTR) {
      return failure(EX_OSERR, std::generic_category().message(errno));
    }
    if (ends[0].revents != 0) {
      const ssize_t count = ::recv(fd_, buffer.data(), buffer.size(), 0);
      if (count <= 0) {
        return {};
      }
      if (!write_all(output, {buffer.data(), static_cast<std::size_t>(count)})) {
        return failure(EX_IOERR, "nobody reads the answers");
      }
    }
    if (ends[1].revents != 0 && !pass_on(input, buffer, whole_line)) {
      ends[1].fd = -1;
    }
  }
}

}  // namespace relay::cli
