// What a runner says of its sessions, traced ones word by word, and of the hosts that it passes
// over.
#include <utility>

#include <fmt/format.h>

#include "relay/delivery/runner.h"
#include "relay/delivery/session_result.h"
#include "relay/staging/placement.h"

namespace relay::delivery {
namespace {

template <class... Visitors>
struct Overloaded : Visitors... {
  using Visitors::operator()...;
};
template <class... Visitors>
Overloaded(Visitors...) -> Overloaded<Visitors...>;

std::string_view dane_text(net::DaneMatch dane) {
  switch (dane) {
    case net::DaneMatch::not_asked:
      return "";
    case net::DaneMatch::matched:
      return " dane-matched";
    case net::DaneMatch::no_match:
      return " dane-no-match";
    case net::DaneMatch::chain_faults:
      return " dane-chain-faults";
  }
  return "";
}

std::string describe_parameters(const net::TlsParameters& parameters, std::string_view verdict) {
  return fmt::format("{} {} {}{}{}", parameters.version, parameters.cipher, verdict,
                     dane_text(parameters.dane), parameters.resumed ? " resumed" : "");
}

std::string policy_text(const sts::CachedPolicy* policy) {
  return policy == nullptr ? std::string("none")
                           : fmt::format("sts/{}/{}", sts::name(policy->policy.mode), policy->id);
}

}  // namespace

std::string AttemptEnd::tls_of(const RecipientOutcome& outcome) const {
  const auto found = tls.find({outcome.host, outcome.ip});
  return found == tls.end() ? std::string{} : found->second;
}

std::string AttemptEnd::port_of(const RecipientOutcome& outcome) const {
  const auto found = ports.find({outcome.host, outcome.ip});
  return found == ports.end() ? std::string{} : std::to_string(found->second);
}

std::string describe(const net::TlsOutcome& outcome) {
  return std::visit(
      Overloaded{
          [](const net::TlsNotOffered& none) { return fmt::format("none ({})", none.reason); },
          [](const net::TlsFailed& failed) { return fmt::format("failed ({})", failed.reason); },
          [](const net::TlsUnverified& unverified) {
            return describe_parameters(
                unverified.parameters,
                fmt::format("unverified ({})", unverified.faults.front().code));
          },
          [](const net::TlsVerified& verified) {
            return describe_parameters(verified.parameters, "verified");
          }},
      outcome);
}

std::string Runner::host_name() const {
  return converse_->host ? converse_->host->text() : std::string{};
}

DialogueLines::Sink Runner::trace() const {
  const std::string id = envelope_->id.text();
  const std::string domain = staging::true_domain(envelope_->recipients.front().domain);
  if (context_.trace == nullptr || !context_.trace->wants(id, domain, context_.clock.steady())) {
    return {};
  }
  return [&log = context_.log, &trace = *context_.trace, id, domain, host = host_name(),
          ip = converse_->address.ip()](std::string_view direction, std::string text) {
    switch (trace.take_line()) {
      case DialogueTrace::Line::none:
        return;
      case DialogueTrace::Line::last:
        text = "(the trace is full; start it anew)";
        break;
      case DialogueTrace::Line::taken:
        break;
    }
    log.info("dialogue", {{"id", id},
                          {"domain", domain},
                          {"host", host},
                          {"ip", ip},
                          {"direction", std::string(direction)},
                          {"text", std::move(text)}});
  };
}

void Runner::log_notes() {
  for (AttemptNote& note : attempt_->take_notes()) {
    context_.log.warning("host-skipped", {{"id", envelope_->id.text()},
                                          {"host", std::move(note.host)},
                                          {"reason", std::move(note.reason_code)},
                                          {"policy", policy_text(policy_.get())},
                                          {"detail", std::move(note.text)}});
  }
}

void Runner::log_staple(const std::string& host, const net::TlsOutcome& outcome) {
  const net::TlsParameters* parameters = parameters_of(outcome);
  if (parameters != nullptr && !parameters->staple.empty() &&
      context_.log.enabled(conf::LogLevel::debug)) {
    context_.log.debug(
        "staple", {{"host", host}, {"ip", converse_->address.ip()}, {"says", parameters->staple}});
  }
}

void Runner::log_session(const ConversationReport& report) {
  const std::string host = host_name();
  if (const auto* failed = std::get_if<ConnectFailed>(&report)) {
    context_.log.info("session", {{"id", envelope_->id.text()},
                                  {"host", host},
                                  {"ip", converse_->address.ip()},
                                  {"port", std::to_string(converse_->address.port())},
                                  {"result", "connect-failed"},
                                  {"detail", failed->reason}});
    return;
  }
  const auto& session = std::get<SessionUsed>(report);
  std::string& tls = tls_[{host, converse_->address.ip()}];
  if (session.tls) {
    tls = describe(*session.tls);
    log_staple(host, *session.tls);
  }
  if (session.origin == SessionUsed::Origin::reused && !session.end) {
    return;  // One line per session, not per message; its deliveries have their own lines.
  }
  std::vector<LogField> fields{{"id", envelope_->id.text()},
                               {"host", host},
                               {"ip", converse_->address.ip()},
                               {"port", std::to_string(converse_->address.port())},
                               {"requirement", std::string(converse_->requirement.name())},
                               {"tls", tls},
                               {"policy", policy_text(policy_.get())}};
  if (session.end) {
    fields.push_back({"result", std::string("ended-at-").append(smtp::name(session.end->stage))});
    fields.push_back({"detail", session.end->detail});
    fields.push_back({"reply", session.end->reply ? session.end->reply->text() : std::string{}});
  } else {
    fields.push_back({"result", "open"});
  }
  context_.log.info("session", fields);
}

}  // namespace relay::delivery
