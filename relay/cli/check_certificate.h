// How `stsrelay check` shows certificates that a peer sent, and how long they still last. Pure.
#pragma once

#include <optional>
#include <string>

#include "relay/cli/output.h"
#include "relay/net/certificate_summary.h"
#include "relay/net/clock.h"

namespace relay::cli {

/// Whole days from now until the certificate ends; negative: it has ended.
[[nodiscard]] std::optional<long> days_left(const net::CertificateSummary& certificate,
                                            net::WallTime now);
/// Whether it is still valid, but not for two weeks more.
[[nodiscard]] bool expires_soon(const net::CertificateSummary& certificate, net::WallTime now);

/// "mx1.example.com, *.example.com"; a handful.
[[nodiscard]] std::string names_text(const net::CertificateSummary& certificate);
/// "2026-01-01 to 2026-04-01, 31 days left"
[[nodiscard]] std::string validity_text(const net::CertificateSummary& certificate,
                                        net::WallTime now);
/// The leaf in one line: its names, its issuer, its dates.
[[nodiscard]] std::string certificate_line(const net::ChainSummary& chain, net::WallTime now);
/// What was sent with the leaf; "" if nothing was.
[[nodiscard]] std::string issuers_line(const net::ChainSummary& chain);
/// The leaf first.
[[nodiscard]] Json chain_json(const net::ChainSummary& chain, net::WallTime now);

}  // namespace relay::cli
