#include "relay/delivery/runner.h"

#include <type_traits>
#include <utility>

#include <fmt/format.h>

#include "relay/delivery/reply_words.h"
#include "relay/delivery/session_result.h"
#include "relay/staging/placement.h"

namespace relay::delivery {
namespace {

/// From here on the message may be on its way into the recipients' mailboxes.
bool in_content(smtp::Stage stage) {
  return stage >= smtp::Stage::data && stage <= smtp::Stage::final_dot;
}

}  // namespace

WindowFeedback window_feedback(const ConversationReport& report) {
  const auto* session = std::get_if<SessionUsed>(&report);
  if (session == nullptr) {
    return WindowFeedback::failure;
  }
  if (session->end && session->end->kind == smtp::SessionEnd::Kind::credentials) {
    return WindowFeedback::none;
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

Runner::Runner(const RunnerContext& context, std::vector<Way> ways,
               std::shared_ptr<const spool::Envelope> envelope, std::chrono::milliseconds deadline,
               Done done)
    : context_(context),
      envelope_(std::move(envelope)),
      ways_(std::move(ways)),
      failover_(envelope_),
      deadline_after_(deadline),
      done_(std::move(done)),
      deadline_(context.loop, [this] { pass_deadline(); }) {
  for (Way& way : ways_) {
    way.settings.find_dead = [&context](const net::SocketAddress& address, net::WallTime now) {
      return context.conversations.count.any_open(address)
                 ? std::nullopt
                 : context.dead_addresses.find(address, now);
    };
  }
}

void Runner::start() {
  started_at_ = context_.clock.wall();
  deadline_.start(deadline_after_);
  begin_way();
}

void Runner::begin_way() {
  const net::WallTime now = context_.clock.wall();
  feedback_ = WindowFeedback::none;
  attempt_.emplace(way().settings, way().next_hop, envelope_);
  const std::string key = way().next_hop.key();
  if (context_.upstreams.may_try(key, now)) {
    visit(attempt_->start(now));
    return;
  }
  const auto held = context_.upstreams.held(key);
  visit(attempt_->on_held(fmt::format(
      "mail through {} is held since it refused our credentials ({}); they are tried again from "
      "time to time, and after `stsrelay config reload`",
      key, held ? held->reply : std::string("no reply"))));
}

void Runner::pass_deadline() {
  deadline_state_ = Deadline::passed;
  if (conversation_ == nullptr) {
    lookup_.cancel();
    second_lookup_.cancel();
    feedback_ = WindowFeedback::failure;
    visit(attempt_->on_deadline(context_.clock.wall()));
  } else if (!in_content(conversation_->stage())) {
    conversation_->expire();
  }
}

void Runner::visit(Step step) {
  log_notes();
  std::visit(
      [this](auto& known) {
        if constexpr (std::is_same_v<std::decay_t<decltype(known)>, Finished>) {
          perform(std::move(known));
        } else {
          perform(known);
        }
      },
      step);
}

void Runner::perform(const FindPolicy& step) {
  if (step.freshness == Freshness::known) {
    const sts::PolicyVerdict known = context_.policies.known(step.domain);
    policy_ = known.policy;
    visit(attempt_->on_policy(known, context_.clock.wall()));
    return;
  }
  lookup_ =
      context_.policies.resolve(step.domain,
                                step.freshness == Freshness::past_cache ? net::DnsCacheUse::bypass
                                                                        : net::DnsCacheUse::allowed,
                                [this](const sts::PolicyVerdict& verdict) {
                                  policy_ = verdict.policy;
                                  visit(attempt_->on_policy(verdict, context_.clock.wall()));
                                });
}

void Runner::perform(const FindMx& step) {
  lookup_ = context_.dns.query(step.domain.text(), net::DnsType::mx, net::DnsCacheUse::allowed,
                               [this](const net::DnsResult& answer) {
                                 visit(attempt_->on_mx(answer, context_.clock.wall()));
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
                                 visit(attempt_->on_alias(answer, context_.clock.wall()));
                               });
}

void Runner::perform(const FindTlsa& step) {
  lookup_ = context_.dns.query(step.owner, net::DnsType::tlsa, net::DnsCacheUse::allowed,
                               [this](const net::DnsResult& answer) {
                                 visit(attempt_->on_tlsa(answer, context_.clock.wall()));
                               });
}

void Runner::addresses_found() {
  if (a_ && aaaa_) {
    visit(attempt_->on_addresses(*a_, *aaaa_, context_.clock.wall()));
  }
}

void Runner::perform(const Converse& step) {
  converse_ = step;
  if (step.requirement.uses_tls()) {
    // A plaintext retry is still explained by the handshake that failed.
    tls_.erase({host_name(), step.address.ip()});
  }
  ports_[{host_name(), step.address.ip()}] = step.address.port();
  MessageJob job{envelope_->id, transaction(step.recipients),
                 way().next_hop.origin == NextHop::Origin::route ? MessageJob::OwnName::namesake
                                                                 : MessageJob::OwnName::loop,
                 trace(), context_.signer.fields_for(*envelope_)};
  job.transaction.size += job.signature.size();
  // A new session shows its TLS, too.
  if (step.use == ConnectionUse::pooled_or_new && !job.trace) {
    if (auto pooled = context_.pool.take(target().key())) {
      conversation_ = std::move(pooled);
      conversation_->send(std::move(job),
                          [this](const ConversationReport& report) { conversation_over(report); });
      return;
    }
  }
  const auto& credentials = way().credentials;
  if (credentials == nullptr || credentials->endpoint == nullptr) {
    open(std::move(job), credentials == nullptr ? nullptr : credentials->password);
  } else if (auto token = context_.tokens.cached(*credentials)) {
    open(std::move(job), std::move(token));
  } else {
    fetch_token(std::move(job));
  }
}

void Runner::fetch_token(MessageJob job) {
  lookup_ = context_.tokens.fetch(
      way().credentials,
      [this, job = std::move(job)](const Expected<TokenSource::Token, std::string>& token) {
        if (token) {
          open(job, *token);
          return;
        }
        refused(token.error());
        conversed(ConnectFailed{token.error()});
      });
}

ConversationTarget Runner::target() const {
  ConversationTarget target{converse_->host, converse_->address, converse_->requirement,
                            way().next_hop.key(), context_.conversations.generation};
  target.source =
      converse_->address.family() == net::IpFamily::v4 ? way().source_ipv4 : way().source_ipv6;
  target.tls_start = way().client.tls_start;
  target.identity = fmt::format("{} {}", way().client.helo_name,
                                way().credentials ? way().credentials->account : std::string());
  return target;
}

void Runner::open(MessageJob job, std::shared_ptr<const smtp::ClientAuth> auth) {
  smtp::ClientSettings settings = way().client;
  settings.tls = converse_->requirement;
  settings.auth = std::move(auth);
  ConversationTarget whom = target();
  context_.pool.make_room(whom.destination);
  conversation_ = std::make_unique<Conversation>(context_.conversations, std::move(whom), settings);
  conversation_->open(std::move(job),
                      [this](const ConversationReport& report) { conversation_over(report); });
}

void Runner::note_credentials(const ConversationReport& report) {
  if (way().next_hop.origin != NextHop::Origin::route) {
    return;
  }
  const CredentialsVerdict verdict = credentials_verdict(report);
  switch (verdict.kind) {
    case CredentialsVerdict::Kind::untested:
      return;
    case CredentialsVerdict::Kind::refused:
      refused(verdict.text);
      return;
    case CredentialsVerdict::Kind::accepted:
      if (context_.upstreams.accepted(way().next_hop.key()) == UpstreamStates::Change::released) {
        context_.log.info("upstream-released", {{"upstream", way().next_hop.key()}});
      }
      return;
  }
}

void Runner::note_reachability(const ConversationReport& report) {
  const net::SocketAddress& address = converse_->address;
  Reachability shown = reachability(report);
  switch (shown.kind) {
    case Reachability::Kind::unknown:
      return;
    case Reachability::Kind::reached:
      context_.dead_addresses.worked(address);
      return;
    case Reachability::Kind::not_reached:
      break;
  }
  // A host that takes only so many connections at a time is not dead; and what our own deadline has
  // ended might have worked.
  if (!context_.conversations.count.any_open(address) && deadline_state_ == Deadline::ahead) {
    const net::WallTime now = context_.clock.wall();
    context_.dead_addresses.failed(address, {std::move(shown.why), now, now + context_.host_retry});
  }
}

void Runner::refused(const std::string& words) {
  const std::string key = way().next_hop.key();
  if (way().credentials != nullptr) {
    context_.tokens.forget(way().credentials->account);
  }
  if (context_.upstreams.refused(key, words, context_.clock.wall()) ==
      UpstreamStates::Change::held) {
    context_.log.error(
        "upstream-held",
        {{"id", envelope_->id.text()},
         {"upstream", key},
         {"reply", words},
         {"detail", "it refuses our credentials: mail through it waits, none is returned for that"},
         {"remedy", "correct the credentials, then stsrelay config reload"}});
  }
}

void Runner::conversation_over(const ConversationReport& report) {
  log_session(report);
  note_credentials(report);
  note_reachability(report);
  if (const auto* session = std::get_if<SessionUsed>(&report);
      session != nullptr && session->mail_at) {
    mail_at_ = session->mail_at;
  }
  context_.pool.put(std::move(conversation_));
  conversed(report);
}

void Runner::conversed(const ConversationReport& report) {
  feedback_ = window_feedback(report);
  const net::WallTime now = context_.clock.wall();
  if (deadline_state_ == Deadline::passed) {
    visit(attempt_->on_deadline(report, now));
  } else {
    visit(attempt_->on_conversation(report, now));
  }
}

void Runner::perform(Finished finished) {
  const std::string key = way().next_hop.key();
  if (feedback_ == WindowFeedback::failure) {
    context_.upstreams.failed(key, context_.clock.wall() + context_.host_retry);
  } else if (feedback_ == WindowFeedback::success) {
    context_.upstreams.worked(key);
  }
  auto rest = failover_.next(std::move(finished));
  if (rest == nullptr || way_ + 1 == ways_.size() || deadline_state_ == Deadline::passed) {
    finish();
    return;
  }
  envelope_ = std::move(rest);
  ++way_;
  begin_way();
}

void Runner::finish() {
  deadline_.stop();
  AttemptEnd end;
  end.finished = failover_.take();
  end.policy = policy_;
  end.policy_source = attempt_->policy_source();
  end.tls = std::move(tls_);
  end.started_at = started_at_;
  end.mail_at = mail_at_;
  end.ports = std::move(ports_);
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
  transaction.purpose =
      staging::mark_of(envelope_->recipients.front().domain) == staging::Mark::dry_run
          ? smtp::Purpose::dry_run
          : smtp::Purpose::delivery;
  transaction.recipients.reserve(recipients.size());
  for (const std::size_t position : recipients) {
    const spool::Recipient& recipient = envelope_->recipients[position];
    transaction.recipients.push_back({recipient.address, recipient.notify, recipient.orcpt});
  }
  return transaction;
}

}  // namespace relay::delivery
