// Examinations to change one thing in: a domain in order, and the parts of others.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "relay/cli/check_report.h"

namespace support {

using namespace relay::cli;
using namespace relay;

inline net::DomainName domain_name(std::string_view text) {
  return *net::DomainName::parse(text);
}

inline std::string policy_text(std::string_view mode, std::string_view mx = "mx1.example.com") {
  return "version: STSv1\nmode: " + std::string(mode) + "\nmx: " + std::string(mx) +
         "\nmax_age: 1209600\n";
}

inline PolicyExamination policy_of(const std::string& body) {
  PolicyExamination found;
  found.source = PolicyExamination::Source::https;
  found.where = "https://mta-sts.example.com/.well-known/mta-sts.txt";
  found.fetch = sts::HttpAnswer{200, "text/plain", body};
  found.body = body;
  found.lint = lint(body, {});
  auto parsed = sts::parse_policy(body, sts::Strictness::tolerant);
  if (parsed.policy) {
    found.policy = std::make_shared<const sts::CachedPolicy>(
        sts::CachedPolicy{"example.com", "1", std::move(*parsed.policy), {}, {}});
  } else {
    found.fault =
        sts::DiscoveryFault{sts::DiscoveryFault::Kind::policy_invalid, parsed.failure_code()};
  }
  return found;
}

inline smtp::SessionEnd end_of(smtp::SessionEnd::Kind kind, std::string detail = {}) {
  return {kind, smtp::Stage::quit, {}, std::move(detail)};
}

inline net::TlsParameters parameters(net::DaneMatch dane = net::DaneMatch::not_asked) {
  net::TlsParameters found;
  found.version = "TLSv1.3";
  found.cipher = "TLS_AES_256_GCM_SHA384";
  found.dane = dane;
  return found;
}

inline net::TlsOutcome unverified(net::CertificateFaultKind kind, std::string code) {
  return net::TlsUnverified{parameters(), {{kind, std::move(code)}}};
}

/// One session with this outcome, ended as the engine would end it under the host's requirement.
inline void set_session(HostExamination& host, const net::TlsOutcome& outcome) {
  using Kind = smtp::SessionEnd::Kind;
  const auto requirement =
      host.decision.requirement.value_or(smtp::TlsRequirement::opportunistic());
  Kind kind = Kind::quit;
  if (!requirement.met_by(outcome)) {
    kind = requirement.after_failed_handshake() ? Kind::tls_failed : Kind::tls_requirement;
  }
  host.sessions = {
      {host.addresses.usable.front(), {}, outcome, end_of(kind), "mx1.example.com", ""}};
}

inline void decide(Examination& examination) {
  delivery::TlsInputs inputs;
  inputs.policy = examination.policy.policy.get();
  inputs.rule = examination.rule;
  inputs.mx = examination.mx.origin;
  for (HostExamination& host : examination.hosts) {
    const std::string& name = host.host.name.text();
    host.decision = delivery::decide(inputs, host.dane ? &*host.dane : nullptr, name);
    host.explanation = delivery::explain(host.decision, inputs, name);
  }
}

/// example.com with the MX host mx1.example.com; each session verified unless said otherwise.
inline Examination examined(PolicyExamination policy,
                            std::optional<net::TlsOutcome> outcome = std::nullopt) {
  Examination found;
  found.domain = found.recipient_domain = "example.com";
  found.mx.answer = Answer::found;
  found.mx.hosts = {{domain_name("mx1.example.com"), 10, delivery::MxHost::Source::mx_record}};
  found.sts_record = {Answer::found, {"v=STSv1; id=1;"}, {}};
  found.tls_rpt_record = {Answer::found, {"v=TLSRPTv1; rua=mailto:tls@example.com"}, {}};
  found.policy = std::move(policy);
  HostExamination host{found.mx.hosts.front(), {}, delivery::HostDane{}, {}, {}, {}};
  host.addresses.usable = {*net::SocketAddress::from_ip("192.0.2.1", 25)};
  found.hosts.push_back(std::move(host));
  decide(found);
  set_session(found.hosts.front(), std::move(outcome).value_or(net::TlsVerified{parameters()}));
  return found;
}

/// Without record and policy.
inline Examination unprotected(std::optional<net::TlsOutcome> outcome = std::nullopt) {
  Examination found = examined({}, std::move(outcome));
  found.sts_record = {Answer::absent, {}, {}};
  return found;
}

}  // namespace support
