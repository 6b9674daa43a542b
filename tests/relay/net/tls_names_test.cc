#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <doctest/doctest.h>
#include <yaml-cpp/yaml.h>

#include "relay/net/socket_address.h"
#include "relay/net/tls_client.h"
#include "tests/relay/net/tls_fixture.h"

namespace {

using relay::net::DomainName;
using relay::net::SocketAddress;
using relay::net::TlsFloor;
using support::CertificateRequest;
using support::new_authority;
using support::shake_hands;
using support::text_of;
using support::TlsServer;
using support::trusting;

bool take_prefix(std::string_view& text, std::string_view prefix) {
  const bool found = text.starts_with(prefix);
  text.remove_prefix(found ? prefix.size() : 0);
  return found;
}

/// What follows the next ", " or " + " is left in rest.
std::string_view next_part(std::string_view& rest) {
  const std::size_t end = std::min({rest.find(", "), rest.find(" + "), rest.size()});
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end);
  if (!take_prefix(rest, ", ")) {
    take_prefix(rest, " + ");
  }
  return part;
}

bool add_part(std::string_view part, const std::string& reference, CertificateRequest& request) {
  if (part == "no SAN" || part == "dot ref") {
    return true;
  }
  if (part == "SAN email only") {
    request.emails = {"postmaster@example.com"};
    return true;
  }
  if (take_prefix(part, "CN")) {
    take_prefix(part, " ");
    request.common_name = part.empty() ? reference : part;
    return part.find(' ') == std::string_view::npos;
  }
  take_prefix(part, "SAN ");
  take_prefix(part, "DNS:");
  request.dns_names.emplace_back(part);
  return !part.empty() && part.find_first_of(" :@") == std::string_view::npos &&
         part.find_first_of(".*") != std::string_view::npos;
}

/// The certificate that a row describes: "SAN *.example.com", "no SAN, CN". Nothing for a text
/// that says something else.
std::optional<CertificateRequest> described(std::string_view text, const std::string& reference) {
  CertificateRequest request;
  if (text == "SAN *.example vs A-label host") {
    // Measured with the wildcard over the host's own parent; ".example" stands for that.
    request.dns_names = {"*" + reference.substr(reference.find('.'))};
    return request;
  }
  text = text.substr(0, text.find(" vs "));
  while (!text.empty()) {
    if (!add_part(next_part(text), reference, request)) {
      return std::nullopt;
    }
  }
  return request;
}

TEST_CASE("certificate names: the measured rows of OpenSSL with hardened flags") {
  const auto rows = YAML::LoadFile(STSRELAY_TEST_DATA "/sts-vectors.yaml")["openssl_names"];
  REQUIRE(rows.size() > 0);
  for (const auto& row : rows) {
    const auto id = row["id"].as<std::string>();
    SUBCASE(id.c_str()) {
      CAPTURE(id);
      const auto text = row["cert"].as<std::string>();
      CAPTURE(text);
      const auto name = row["reference"].as<std::string>();
      const auto request = described(text, name);
      REQUIRE_MESSAGE(request, "no certificate is known for this text");
      const auto reference = DomainName::parse(name);
      if (!reference) {
        // OpenSSL would match these; they never become a reference name.
        CHECK((name.starts_with('.') || SocketAddress::from_ip(name, 0)));
        continue;
      }
      const auto authority = new_authority();
      const TlsServer server(authority.issue(*request), {});
      const auto outcome = shake_hands(server.address(), *trusting(authority),
                                       {*reference, TlsFloor::tls12, nullptr, ""});
      CHECK(text_of(outcome) ==
            (row["hardened"].as<bool>() ? "verified" : "unverified mismatch:HOSTNAME_MISMATCH"));
    }
  }
}

TEST_CASE("a row whose text describes no known certificate is told from one that does") {
  CHECK(described("SAN a.example, b.example + CN c.example", "x")->dns_names.size() == 2);
  CHECK(described("SAN a.example + CN c.example", "x")->common_name == "c.example");
  for (const char* text : {"SAN", "SAN IP:192.0.2.1", "SAN two words.example", "expired"}) {
    CAPTURE(text);
    CHECK_FALSE(described(text, "mx.example.com"));
  }
}

}  // namespace
