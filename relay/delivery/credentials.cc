#include "relay/delivery/credentials.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include <fmt/format.h>

namespace relay::delivery {

std::string account_of(const conf::Upstream& upstream) {
  return fmt::format("{}:{}:{}", upstream.host, upstream.port,
                     upstream.auth ? upstream.auth->user : std::string());
}

std::optional<EndpointUrl> parse_endpoint(std::string_view url) {
  constexpr std::string_view kScheme = "https://";
  if (!url.starts_with(kScheme)) {
    return std::nullopt;
  }
  url.remove_prefix(kScheme.size());
  const std::size_t slash = std::min(url.find('/'), url.size());
  const std::string_view authority = url.substr(0, slash);
  const std::size_t colon = std::min(authority.find(':'), authority.size());
  auto host = net::DomainName::parse(authority.substr(0, colon));
  if (!host) {
    return std::nullopt;
  }
  EndpointUrl parts{std::move(*host), 443,
                    slash < url.size() ? std::string(url.substr(slash)) : std::string("/")};
  if (colon < authority.size()) {
    const std::string_view port = authority.substr(colon + 1);
    const auto [end, fault] = std::from_chars(port.data(), port.data() + port.size(), parts.port);
    if (fault != std::errc() || end != port.data() + port.size() || parts.port == 0) {
      return std::nullopt;
    }
  }
  return parts;
}

smtp::ClientAuth::SendOver send_over(const conf::UpstreamAuth& auth) {
  switch (auth.send_over) {
    case conf::UpstreamAuth::SendOver::verified:
      break;
    case conf::UpstreamAuth::SendOver::encrypted:
      return smtp::ClientAuth::SendOver::encrypted;
    case conf::UpstreamAuth::SendOver::plaintext:
      return smtp::ClientAuth::SendOver::plaintext;
  }
  return smtp::ClientAuth::SendOver::verified;
}

}  // namespace relay::delivery
