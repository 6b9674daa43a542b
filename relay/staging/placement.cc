#include "relay/staging/placement.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace relay::staging {
namespace {

// In brackets, so that no domain and no address literal is one of them.
constexpr std::string_view kNowhere = "[staging:nowhere]";
constexpr std::string_view kDryRun = "[staging:dry-run]";

Mark fate(const conf::Staging& staging, std::string_view address) {
  if (staging.sink || !staging.capture.empty() ||
      staging.fault(conf::StagingFault::At::delivery, address) != nullptr) {
    return Mark::nowhere;
  }
  return staging.dry_run ? Mark::dry_run : Mark::none;
}

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

/// RFC 3461 §4: xtext.
std::string xtext(std::string_view text) {
  std::string coded;
  coded.reserve(text.size());
  for (const char c : text) {
    if (c == '+' || c == '=') {
      coded += fmt::format("+{:02X}", static_cast<unsigned>(c));
    } else {
      coded += c;
    }
  }
  return coded;
}

/// RFC 3461 §5.2.7.1: notices tell senders of the address that they wrote to.
void redirect(spool::Recipient& recipient, const std::string& to) {
  if (recipient.orcpt.empty() && is_ascii(recipient.address)) {
    recipient.orcpt = "rfc822;" + xtext(recipient.address);
  }
  recipient.address = to;
  recipient.domain = to.substr(to.rfind('@') + 1);
}

}  // namespace

Mark mark_of(std::string_view domain) {
  if (domain.starts_with(kNowhere)) {
    return Mark::nowhere;
  }
  return domain.starts_with(kDryRun) ? Mark::dry_run : Mark::none;
}

std::string marked(Mark mark, std::string_view domain) {
  switch (mark) {
    case Mark::none:
      break;
    case Mark::nowhere:
      return std::string(kNowhere);
    case Mark::dry_run:
      return std::string(kDryRun).append(domain);
  }
  return std::string(domain);
}

std::string true_domain(std::string_view domain) {
  switch (mark_of(domain)) {
    case Mark::none:
      break;
    case Mark::nowhere:
      return {};
    case Mark::dry_run:
      return std::string(domain.substr(kDryRun.size()));
  }
  return std::string(domain);
}

bool permits(const conf::Staging& staging, std::string_view address) {
  if (staging.nothing_leaves() ||
      staging.fault(conf::StagingFault::At::delivery, address) != nullptr) {
    return false;
  }
  return staging.redirect_to.empty() || address == staging.redirect_to ||
         conf::matches_any(staging.allow_recipients, address);
}

void place(spool::Envelope& envelope, const conf::Staging& staging) {
  std::vector<spool::Recipient> placed;
  placed.reserve(envelope.recipients.size());
  bool redirected = false;
  for (spool::Recipient& recipient : envelope.recipients) {
    const Mark mark = fate(staging, recipient.address);
    recipient.domain = marked(mark, recipient.domain);
    if (mark == Mark::none && !permits(staging, recipient.address)) {
      redirect(recipient, staging.redirect_to);
    }
    if (mark == Mark::none && recipient.address == staging.redirect_to &&
        std::exchange(redirected, true)) {
      continue;
    }
    recipient.index = static_cast<std::uint32_t>(placed.size());
    placed.push_back(std::move(recipient));
  }
  envelope.recipients = std::move(placed);
}

void place(spool::Notice& notice, const conf::Staging& staging) {
  std::vector<std::string> given;
  given.reserve(notice.envelope.recipients.size());
  for (const spool::Recipient& recipient : notice.envelope.recipients) {
    given.push_back(recipient.address);
  }
  place(notice.envelope, staging);
  notice.content.insert(0, header_fields(staging, given));
  notice.envelope.size = notice.content.size();
}

std::string header_fields(const conf::Staging& staging,
                          const std::vector<std::string>& recipients) {
  std::string fields =
      fmt::format("X-Stsrelay-Staging: {}; relay={}\r\n", staging.modes(), staging.confirm);
  for (const std::string& recipient : recipients) {
    fields += fmt::format("X-Stsrelay-Original-To: <{}>\r\n", recipient);
  }
  return fields;
}

std::string summary(const conf::Staging& staging) {
  std::vector<std::string> parts;
  if (!staging.capture.empty()) {
    parts.push_back(fmt::format("nothing leaves, messages become files below {}", staging.capture));
  } else if (staging.sink) {
    parts.emplace_back("everything is accepted, and nothing leaves");
  } else if (staging.dry_run) {
    parts.emplace_back("destinations are asked up to RCPT, and nothing is delivered");
  } else if (!staging.redirect_to.empty()) {
    parts.push_back(fmt::format("mail is redirected to {}", staging.redirect_to));
  } else {
    parts.emplace_back("mail leaves for its recipients");
  }
  if (!staging.allow_recipients.empty()) {
    parts.push_back(fmt::format("but for {}", fmt::join(staging.allow_recipients, ", ")));
  }
  if (!staging.faults.empty()) {
    parts.push_back(fmt::format("{} faults are simulated", staging.faults.size()));
  }
  if (staging.soft_bounce) {
    parts.emplace_back("what would fail is tried again");
  }
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace relay::staging
