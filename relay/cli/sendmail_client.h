// The sendmail command's end of an SMTP dialogue over the daemon's UNIX socket; blocking.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relay/cli/sendmail_message.h"
#include "relay/net/expected.h"
#include "relay/smtp/reply.h"

namespace relay::cli {

/// Why nothing was queued.
struct SendmailFailure {
  int status;          ///< of sysexits.h
  std::string reason;  ///< sentences for the caller
};

class SendmailClient {
 public:
  /// The error is one of the system's.
  static Expected<std::unique_ptr<SendmailClient>, int> connect(const std::string& path);
  ~SendmailClient();
  SendmailClient(const SendmailClient&) = delete;
  SendmailClient& operator=(const SendmailClient&) = delete;

  /// The greeting, EHLO and the envelope, up to the 354 that asks for content. All recipients are
  /// taken or nothing is sent.
  Expected<void, SendmailFailure> open(const Submission& submission,
                                       const SendmailOptions& options);
  /// The next octets of stuffed content, or its end; false: the daemon listens no more, and may
  /// have said why.
  [[nodiscard]] bool send(std::string_view bytes) const;
  /// After the end of content: whether the message is queued.
  Expected<void, SendmailFailure> close();
  /// -bs: copies what both say until the daemon ends. input, output: descriptors.
  [[nodiscard]] Expected<void, SendmailFailure> pass_through(int input, int output) const;

 private:
  /// What input has to say now, to the daemon; false: no more comes. whole_line: it ended with one.
  [[nodiscard]] bool pass_on(int input, std::span<char> buffer, bool& whole_line) const;
  explicit SendmailClient(int fd) : fd_(fd) {}
  Expected<smtp::Reply, SendmailFailure> reply();
  Expected<void, SendmailFailure> command(const std::string& line, int code);

  int fd_;
  smtp::ReplyParser parser_;
  std::string received_;
};

}  // namespace relay::cli
