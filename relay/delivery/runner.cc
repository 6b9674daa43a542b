#include "relay/delivery/runner.h"

#include <utility>

#include <fmt/format.h>

#include "relay/delivery/session_result.h"

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

/// From here on the message may be on its way into the recipients' mailboxes.
bool in_content(smtp::Stage stage) {
  return stage >= smtp::Stage::data && stage <= smtp::Stage::final_dot;
}

std::string host_text(const Converse& converse) {
  return converse.host ? converse.host->text() : std::string{};
}

std::string policy_text(const sts::CachedPolicy* policy) {
  return policy == nullptr ? std::string("none")
                           : fmt::format("sts/{}/{}", sts::name(policy->policy.mode), policy->id);
}

}  // namespace

WindowFeedback window_feedback(const ConversationReport& report) {
  const auto* session = std::get_if<SessionUsed>(&report);
  if (session == nullptr) {
    return WindowFeedback::failure;
  }
  if (!session->end) {
    return WindowFeedback::success;
  }
  if (session->end->kind == smtp::SessionEnd::Kind::quit) {
    // By our own wish: after what the server takes on one connection (RFC 9422 MAILMAX), or before
    // anything was sent.
    return session->end->stage == smtp::Stage::quit && session->transaction
               ? WindowFeedback::success
               : WindowFeedback::none;
  }
  return session->origin == SessionUsed::Origin::reused ? WindowFeedback::none
                                                        : WindowFeedback::failure;
}

std::string AttemptEnd::tls_of(const RecipientOutcome& outcome) const {
  const auto found = tls.find({outcome.host, outcome.ip});
  return found == tls.end() ? std::string{} : found->second;
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

Runner::Runner(const RunnerContext& context, AttemptSettings settings, NextHop next_hop,
               std::shared_ptr<const spool::Envelope> envelope, smtp::ClientSettings client,
               std::chrono::milliseconds deadline, Done done)
    : context_(context),
      envelope_(envelope),
      next_hop_(next_hop),
      attempt_(std::move(settings), std::move(next_hop), std::move(envelope)),
      client_(std::move(client)),
      deadline_after_(deadline),
      done_(std::move(done)),
      deadline_(context.loop, [this] { pass_deadline(); }) {}

void Runner::start() {
  started_at_ = context_.clock.wall();
  deadline_.start(deadline_after_);
  visit(attempt_.start(started_at_));
}

void Runner::pass_deadline() {
  deadline_state_ = Deadline::passed;
  if (conversation_ == nullptr) {
    lookup_.cancel();
    second_lookup_.cancel();
    feedback_ = WindowFeedback::failure;
    visit(attempt_.on_deadline(context_.clock.wall()));
  } else if (!in_content(conversation_->stage())) {
    conversation_->expire();
  }
}

void Runner::visit(Step step) {
  log_notes();
  std::visit(Overloaded{[this](Finished& finished) { perform(std::move(finished)); },
                        [this](const auto& other) { perform(other); }},
             step);
}

void Runner::perform(const FindPolicy& step) {
  if (step.freshness == Freshness::known) {
    const sts::PolicyVerdict known = context_.policies.known(step.domain);
    policy_ = known.policy;
    visit(attempt_.on_policy(known, context_.clock.wall()));
    return;
  }
  lookup_ =
      context_.policies.resolve(step.domain,
                                step.freshness == Freshness::past_cache ? net::DnsCacheUse::bypass
                                                                        : net::DnsCacheUse::allowed,
                                [this](const sts::PolicyVerdict& verdict) {
                                  policy_ = verdict.policy;
                                  visit(attempt_.on_policy(verdict, context_.clock.wall()));
                                });
}

void Runner::perform(const FindMx& step) {
  lookup_ = context_.dns.query(step.domain.text(), net::DnsType::mx, net::DnsCacheUse::allowed,
                               [this](const net::DnsResult& answer) {
                                 visit(attempt_.on_mx(answer, context_.clock.wall()));
                               });
}

void Runner::perform(const FindAddresses& step) {
  a_.reset();
  aaaa_.reset();
  lookup_ = context_.dns.query(step.host.text(), net::DnsType::a, net::DnsCacheUse::allowed,
                               [this](net::DnsResult result) {
                                 a_ = std::move(result);
                                 addresses_found();
                               });
  second_lookup_ = context_.dns.query(step.host.text(), net::DnsType::aaaa,
                                      net::DnsCacheUse::allowed, [this](net::DnsResult result) {
                                        aaaa_ = std::move(result);
                                        addresses_found();
                                      });
}

void Runner::perform(const FindAlias& step) {
  lookup_ = context_.dns.query(step.name.text(), net::DnsType::cname, net::DnsCacheUse::allowed,
                               [this](const net::DnsResult& answer) {
                                 visit(attempt_.on_alias(answer, context_.clock.wall()));
                               });
}

void Runner::perform(const FindTlsa& step) {
  lookup_ = context_.dns.query(step.owner, net::DnsType::tlsa, net::DnsCacheUse::allowed,
                               [this](const net::DnsResult& answer) {
                                 visit(attempt_.on_tlsa(answer, context_.clock.wall()));
                               });
}

void Runner::addresses_found() {
  if (a_ && aaaa_) {
    visit(attempt_.on_addresses(*a_, *aaaa_, context_.clock.wall()));
  }
}

void Runner::perform(const Converse& step) {
  converse_ = step;
  if (step.requirement.uses_tls()) {
    // A plaintext retry is still explained by the handshake that failed.
    tls_.erase({host_text(step), step.address.ip()});
  }
  const ConversationTarget target{step.host, step.address, step.requirement, next_hop_.key(),
                                  context_.conversations.generation};
  MessageJob job{envelope_->id, transaction(step.recipients),
                 next_hop_.origin == NextHop::Origin::route ? MessageJob::OwnName::namesake
                                                            : MessageJob::OwnName::loop,
                 trace()};
  const auto done = [this](const ConversationReport& report) { conversation_over(report); };
  // A new session shows its TLS, too.
  if (step.use == ConnectionUse::pooled_or_new && !job.trace) {
    if (auto pooled = context_.pool.take(target.key())) {
      conversation_ = std::move(pooled);
      conversation_->send(std::move(job), done);
      return;
    }
  }
  smtp::ClientSettings settings = client_;
  settings.tls = step.requirement;
  context_.pool.make_room(target.destination);
  conversation_ = std::make_unique<Conversation>(context_.conversations, target, settings);
  conversation_->open(std::move(job), done);
}

void Runner::conversation_over(const ConversationReport& report) {
  feedback_ = window_feedback(report);
  log_session(report);
  if (const auto* session = std::get_if<SessionUsed>(&report); session && session->mail_at) {
    mail_at_ = session->mail_at;
  }
  context_.pool.put(std::move(conversation_));
  const net::WallTime now = context_.clock.wall();
  if (deadline_state_ == Deadline::passed) {
    visit(attempt_.on_deadline(report, now));
  } else {
    visit(attempt_.on_conversation(report, now));
  }
}

void Runner::perform(Finished finished) {
  deadline_.stop();
  AttemptEnd end;
  end.finished = std::move(finished);
  end.policy = policy_;
  end.policy_source = attempt_.policy_source();
  end.tls = std::move(tls_);
  end.started_at = started_at_;
  end.mail_at = mail_at_;
  end.port = next_hop_.port;
  end.feedback = feedback_;
  const Done done = std::move(done_);
  done(std::move(end));
}

smtp::ClientTransaction Runner::transaction(const std::vector<std::size_t>& recipients) const {
  smtp::ClientTransaction transaction;
  transaction.sender = envelope_->sender;
  transaction.size = envelope_->size;
  transaction.eight_bit = envelope_->eight_bit;
  transaction.smtputf8 = envelope_->smtputf8;
  transaction.ret = envelope_->ret;
  transaction.envid = envelope_->envid;
  transaction.requiretls = passes_on_requiretls(*envelope_, converse_->requirement)
                               ? smtp::RequireTls::yes
                               : smtp::RequireTls::no;
  transaction.recipients.reserve(recipients.size());
  for (const std::size_t position : recipients) {
    const spool::Recipient& recipient = envelope_->recipients[position];
    transaction.recipients.push_back({recipient.address, recipient.notify, recipient.orcpt});
  }
  return transaction;
}

DialogueLines::Sink Runner::trace() const {
  const std::string id = envelope_->id.text();
  const std::string& domain = envelope_->recipients.front().domain;
  if (context_.trace == nullptr || !context_.trace->wants(id, domain, context_.clock.steady())) {
    return {};
  }
  return [&log = context_.log, &trace = *context_.trace, id, domain, host = host_text(*converse_),
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
  for (AttemptNote& note : attempt_.take_notes()) {
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
  const std::string host = host_text(*converse_);
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
