// Mail with TLS reports, and bounces of it: whatever its parts are, they are found within limits or
// told of. The first octet chooses between a message, an mbox and a zip archive.
#include "relay/cli/report_mime.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "relay/cli/bounced_report.h"
#include "relay/cli/report_archive.h"

namespace {

using relay::cli::MailContent;

constexpr std::size_t kMaxParts = 50;

void check(const MailContent& content) {
  if (content.reports.size() > kMaxParts + 1) {
    std::abort();
  }
  for (const auto& found : content.reports) {
    auto reading = rpt::read_report(found.octets);
    if (reading) {
      rpt::cross_check(*reading, found.metadata);
    }
  }
}

void check_bounce(const std::optional<relay::cli::BouncedReport>& bounced) {
  if (bounced && (bounced->domain.empty() || bounced->message_id.empty())) {
    std::abort();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const std::string_view octets(reinterpret_cast<const char*>(data) + 1, size - 1);
  const relay::cli::MailLimits limits{.depth = 10, .parts = kMaxParts, .part_octets = 100'000};
  if (data[0] % 3 == 0) {
    check(relay::cli::reports_in_mail(octets, limits));
    check_bounce(relay::cli::bounced_report(octets));
  } else if (data[0] % 3 == 1) {
    relay::cli::read_mbox(octets, check, limits);
  } else {
    constexpr std::size_t kTotal = 1'000'000;
    std::size_t total = 0;
    const auto done =
        relay::cli::read_zip(octets,
                             [&](const relay::cli::ZipEntry& entry) {
                               total += entry.octets ? entry.octets->size() : 0;
                             },
                             {.entries = 20, .entry_octets = kTotal, .total_octets = kTotal});
    if (total > kTotal || (!done && done.error().empty())) {
      std::abort();
    }
  }
  return 0;
}
