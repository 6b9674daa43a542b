#include "relay/delivery/policy_lookup.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

namespace relay::delivery {
namespace {

constexpr std::size_t kDiagnosticsShown = 8;

bool failed(const net::DnsResult& result) {
  return std::holds_alternative<net::DnsFailure>(result);
}

std::vector<net::SocketAddress> addresses(const net::DnsResult& result, std::uint16_t port) {
  std::vector<net::SocketAddress> found;
  const auto* answer = std::get_if<net::DnsAnswer>(&result);
  const auto* texts =
      answer == nullptr ? nullptr : std::get_if<std::vector<std::string>>(&answer->records);
  if (texts != nullptr) {
    for (const std::string& text : *texts) {
      if (const auto address = net::SocketAddress::from_ip(text, port)) {
        found.push_back(*address);
      }
    }
  }
  return found;
}

}  // namespace

sts::FirstContact first_contact(const conf::Sts& settings) {
  switch (settings.first_contact) {
    case conf::Sts::FirstContact::deliver:
      return sts::FirstContact::deliver;
    case conf::Sts::FirstContact::hold:
      break;
  }
  return sts::FirstContact::hold;
}

sts::OnDnsFailure on_dns_failure(const conf::Sts& settings) {
  switch (settings.on_dns_failure) {
    case conf::Sts::OnDnsFailure::proceed:
      return sts::OnDnsFailure::proceed;
    case conf::Sts::OnDnsFailure::defer:
      break;
  }
  return sts::OnDnsFailure::defer;
}

sts::RecordResult record_result(net::DnsResult answer) {
  if (auto* failure = std::get_if<net::DnsFailure>(&answer)) {
    return sts::RecordFailure{std::move(failure->reason)};
  }
  if (auto* found = std::get_if<net::DnsAnswer>(&answer)) {
    if (auto* texts = std::get_if<std::vector<std::string>>(&found->records)) {
      return sts::RecordAnswer{std::move(*texts)};
    }
  }
  return sts::RecordAbsent{};
}

sts::FetchResult fetch_result(Expected<net::HttpsResponse, net::HttpsFailure> response) {
  if (response) {
    return sts::HttpAnswer{response->status, std::move(response->content_type),
                           std::move(response->body)};
  }
  net::HttpsFailure& failure = response.error();
  switch (failure.kind) {
    case net::HttpsFailure::Kind::certificate:
      return sts::HttpFailure{true, std::move(failure.reason)};
    case net::HttpsFailure::Kind::too_large:
      return sts::HttpFailure{false, "policy-too-large"};
    case net::HttpsFailure::Kind::connect:
    case net::HttpsFailure::Kind::timeout:
    case net::HttpsFailure::Kind::tls:
    case net::HttpsFailure::Kind::protocol:
      break;
  }
  return sts::HttpFailure{false, std::move(failure.reason)};
}

Expected<std::vector<net::SocketAddress>, std::string> policy_host_addresses(
    const net::DnsResult& a, const net::DnsResult& aaaa, std::uint16_t port,
    PrivateAddresses private_addresses) {
  std::vector<net::SocketAddress> usable = addresses(aaaa, port);
  const std::vector<net::SocketAddress> v4 = addresses(a, port);
  usable.insert(usable.end(), v4.begin(), v4.end());
  if (usable.empty()) {
    return Unexpected<std::string>{failed(a) || failed(aaaa) ? "dns-failure" : "no-address"};
  }
  if (private_addresses == PrivateAddresses::refused) {
    std::erase_if(usable, [](const net::SocketAddress& each) { return !each.is_public(); });
  }
  if (usable.empty()) {
    return Unexpected<std::string>{"address-refused"};
  }
  return usable;
}

std::string diagnostics_text(const std::vector<sts::Diagnostic>& diagnostics) {
  std::string text;
  for (std::size_t i = 0; i < diagnostics.size() && i < kDiagnosticsShown; ++i) {
    text += fmt::format("{}{}@{}", i == 0 ? "" : " ", diagnostics[i].code, diagnostics[i].line);
  }
  if (diagnostics.size() > kDiagnosticsShown) {
    text += " ...";
  }
  return text;
}

bool weakens(sts::Mode before, sts::Mode after) {
  const auto strength = [](sts::Mode mode) {
    switch (mode) {
      case sts::Mode::enforce:
        return 2;
      case sts::Mode::testing:
        return 1;
      case sts::Mode::none:
        break;
    }
    return 0;
  };
  return strength(after) < strength(before);
}

std::vector<std::string> widening(const sts::Policy& before, const sts::Policy& after) {
  // Of thousands of patterns each is looked up, as whoever published them might have wished us to
  // compare each with each.
  std::unordered_set<std::string_view> old;
  for (const sts::MxPattern& pattern : before.mx) {
    old.insert(pattern.text());
  }
  std::vector<std::string> added;
  for (const sts::MxPattern& pattern : after.mx) {
    const std::string& text = pattern.text();
    const auto dot = text.find('.');
    // RFC 8461 §4.1: a wildcard stands for one label, so that it covers no other wildcard.
    const bool covered = old.contains(text) || (dot != std::string::npos && text.front() != '*' &&
                                                old.contains("*" + text.substr(dot)));
    if (!covered) {
      added.push_back(text);
    }
  }
  return added;
}

std::string weakening(const sts::Policy& before, const sts::Policy& after) {
  if (weakens(before.mode, after.mode)) {
    return "mode";
  }
  if (before.mode == sts::Mode::none || before.mode != after.mode) {
    return "";
  }
  const bool wider = !widening(before, after).empty();
  const bool shorter = after.max_age < before.max_age;
  return fmt::format("{}{}{}", wider ? "mx" : "", wider && shorter ? " " : "",
                     shorter ? "max_age" : "");
}

std::string_view name(sts::DiscoveryFault::Kind kind) {
  switch (kind) {
    case sts::DiscoveryFault::Kind::fetch_error:
      return "fetch-error";
    case sts::DiscoveryFault::Kind::policy_invalid:
      return "policy-invalid";
    case sts::DiscoveryFault::Kind::webpki_invalid:
      return "webpki-invalid";
  }
  return "";
}

}  // namespace relay::delivery
