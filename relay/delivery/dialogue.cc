#include "relay/delivery/dialogue.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include "relay/delivery/runner.h"
#include "relay/delivery/session_result.h"
#include "relay/smtp/ascii.h"

namespace relay::delivery {
namespace {

constexpr std::size_t kMaxLine = 512;
constexpr std::string_view kHidden = "(hidden)";

bool is_command(std::string_view verb) {
  constexpr std::array<std::string_view, 10> kVerbs{"EHLO", "HELO", "STARTTLS", "MAIL", "RCPT",
                                                    "DATA", "BDAT", "RSET",     "NOOP", "QUIT"};
  return std::ranges::find(kVerbs, verb) != kVerbs.end();
}

/// A command as it may be shown.
std::string shown(std::string_view line) {
  std::string_view rest = line;
  const std::string verb = smtp::upper(smtp::next_word(rest));
  if (verb == "AUTH") {
    return fmt::format("AUTH {} {}", smtp::next_word(rest), kHidden);
  }
  return is_command(verb) ? std::string(line) : std::string(kHidden);
}

std::string_view take_line(std::string_view& bytes) {
  const auto end = std::min(bytes.find('\n'), bytes.size());
  auto line = bytes.substr(0, end);
  bytes.remove_prefix(std::min(end + 1, bytes.size()));
  if (line.ends_with('\r')) {
    line.remove_suffix(1);
  }
  return line;
}

std::string day_text(const std::optional<net::WallTime>& time) {
  return time ? fmt::format("{:%Y-%m-%d}", fmt::gmtime(std::chrono::system_clock::to_time_t(
                                               std::chrono::floor<std::chrono::seconds>(*time))))
              : "?";
}

std::string certificate_text(const net::CertificateSummary& certificate, std::size_t depth) {
  std::string names;
  for (const std::string& name : certificate.dns_names) {
    names += (names.empty() ? "" : ",") + name;
  }
  return fmt::format(R"(certificate {}: subject "{}", issuer "{}", valid {} to {}{}{})", depth,
                     certificate.subject, certificate.issuer, day_text(certificate.valid_from),
                     day_text(certificate.valid_until), names.empty() ? "" : ", names ", names);
}

}  // namespace

void DialogueLines::send_to(Sink sink) {
  sink_ = std::move(sink);
  partial_.clear();
  next_ = Next::command;
}

void DialogueLines::say(std::string_view direction, std::string_view text) const {
  sink_(direction, std::string(text.substr(0, kMaxLine)));
}

void DialogueLines::sent(std::string_view bytes) {
  if (!wanted()) {
    return;
  }
  while (!bytes.empty()) {
    const auto line = take_line(bytes);
    const bool secret = std::exchange(next_, Next::command) == Next::secret;
    const std::string text = secret ? std::string(kHidden) : shown(line);
    say("sent", text);
    if (text.starts_with("BDAT") || text.starts_with("bdat")) {
      return;  // the content of the chunk
    }
  }
}

void DialogueLines::sent_credentials(std::string_view bytes) {
  while (wanted() && !bytes.empty()) {
    const std::string text = shown(take_line(bytes));
    say("sent", text.starts_with("AUTH ") ? std::string_view(text) : kHidden);
  }
  next_ = Next::command;
}

void DialogueLines::received(std::string_view bytes) {
  if (!wanted()) {
    return;
  }
  partial_.append(bytes);
  std::string_view rest = partial_;
  while (rest.find('\n') != std::string_view::npos) {
    const auto line = take_line(rest);
    next_ = line.starts_with("334") ? Next::secret : Next::command;
    say("received", next_ == Next::secret ? std::string_view("334 (hidden)") : line);
  }
  // More than a line can be is none; the engine will say so.
  partial_ = std::string(rest.substr(0, 2 * kMaxLine));
}

void DialogueLines::handshake(const net::TlsOutcome& outcome) {
  if (!wanted()) {
    return;
  }
  say("tls", describe(outcome));
  const net::TlsParameters* const parameters = parameters_of(outcome);
  if (parameters == nullptr) {
    return;
  }
  for (std::size_t depth = 0; depth < parameters->chain.size(); ++depth) {
    say("tls", certificate_text(parameters->chain[depth], depth));
  }
}

}  // namespace relay::delivery
