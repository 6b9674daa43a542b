#include "relay/cli/check_survey.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "relay/delivery/policy_lookup.h"

namespace relay::cli {
namespace {

using delivery::MxHost;
using delivery::MxOrigin;

constexpr auto kPolicyPath = "/.well-known/mta-sts.txt";  // RFC 8461 §3.3
constexpr std::size_t kProbes = 8;                        // at the same time
constexpr auto kLate = "not finished within the time allowed";

net::DnssecState dnssec_of(const net::DnsResult& result) {
  if (const auto* answer = std::get_if<net::DnsAnswer>(&result)) {
    return answer->dnssec;
  }
  const auto* none = std::get_if<net::DnsNoRecord>(&result);
  return none != nullptr ? none->dnssec : net::DnssecState::insecure;
}

Answer answer_of(const net::DnsResult& result) {
  if (std::holds_alternative<net::DnsFailure>(result)) {
    return Answer::failed;
  }
  return std::holds_alternative<net::DnsAnswer>(result) ? Answer::found : Answer::absent;
}

net::HttpsClientOptions https_options(const SurveySettings& settings) {
  net::HttpsClientOptions options;
  options.ca_file = settings.worker->ca_file;
  options.revocation = settings.worker->revocation;
  options.connect_timeout = std::min(options.connect_timeout, settings.time);
  options.total_timeout = std::min(options.total_timeout, settings.time);
  return options;
}

std::size_t addresses_kept(const SurveySettings& settings) {
  return static_cast<std::size_t>(settings.worker->delivery.addresses_per_host);
}

}  // namespace

Survey::Survey(net::EventLoop& loop, const net::Clock& clock, SurveySettings settings,
               std::function<void(const std::string&)> progress, std::function<void()> done)
    : loop_(loop),
      clock_(clock),
      settings_(std::move(settings)),
      progress_(std::move(progress)),
      done_(std::move(done)),
      dns_(loop, clock, settings_.dns),
      https_(loop, https_options(settings_)),
      discovery_(settings_.next_hop.policy_domain()->text(), settings_.cached, nullptr, to_ascii,
                 {sts::Purpose::order, delivery::first_contact(settings_.worker->sts),
                  delivery::on_dns_failure(settings_.worker->sts)}),
      deadline_(loop, [this] {
        if (phase_ == Phase::lookups) {
          decide();
        }
        finish();
      }) {
  found_.domain = settings_.next_hop.policy_domain()->text();
  found_.recipient_domain = settings_.recipient_domain;
  found_.rule = settings_.rule;
  found_.policy = settings_.policy;
  if (found_.policy.source == PolicyExamination::Source::none) {
    found_.policy.policy = settings_.cached;  // until there is a newer one
  }
  found_.connecting = settings_.connecting;
}

void Survey::start() {
  deadline_.start(settings_.time);
  progress_("looking up DNS records");
  const std::string& domain = found_.domain;
  ask_text("_smtp._tls." + domain, found_.tls_rpt_record, [](const net::DnsResult&) {});
  ask_text("_mta-sts." + domain, found_.sts_record, [this](const net::DnsResult& answer) {
    if (found_.policy.source == PolicyExamination::Source::none) {
      on_policy_step(discovery_.on_record(delivery::record_result(answer), clock_.wall()));
    }
  });
  if (std::holds_alternative<delivery::FixedHost>(settings_.next_hop.target)) {
    found_.mx.origin = MxOrigin::route;
    use_hosts({MxHost{*settings_.next_hop.policy_domain(), 0, MxHost::Source::route}});
    return;
  }
  found_.mx.answer = Answer::failed;
  found_.mx.undeliverable =
      delivery::Undeliverable{delivery::Undeliverable::Kind::temporary, "4.4.3",
                              fmt::format("MX lookup of {} failed: {}", domain, kLate)};
  ask(domain, net::DnsType::mx, [this](const net::DnsResult& answer) { on_mx(answer); });
}

/// The last step of a phase begins the next one.
void Survey::step_over() {
  if (--open_ != 0) {
    return;
  }
  if (phase_ == Phase::lookups) {
    decide();
    return start_probes();
  }
  finish();
}

void Survey::ask(const std::string& name, net::DnsType type, Then then) {
  ++open_;
  operations_.push_back(dns_.query(name, type, net::DnsCacheUse::allowed,
                                   [this, then = std::move(then)](const net::DnsResult& answer) {
                                     then(answer);
                                     step_over();
                                   }));
}

void Survey::ask_text(const std::string& name, TextRecords& records,
                      const std::function<void(const net::DnsResult&)>& then) {
  records = {Answer::failed, {}, kLate};
  ask(name, net::DnsType::txt, [&records, then](const net::DnsResult& answer) {
    records = {answer_of(answer), {}, {}};
    sts::RecordResult result = delivery::record_result(answer);
    if (auto* found = std::get_if<sts::RecordAnswer>(&result)) {
      records.texts = std::move(found->records);
    } else if (auto* failure = std::get_if<sts::RecordFailure>(&result)) {
      records.failure = std::move(failure->reason);
    }
    then(answer);
  });
}

void Survey::on_mx(const net::DnsResult& answer) {
  found_.mx.answer = answer_of(answer);
  found_.mx.undeliverable.reset();
  if (dnssec_of(answer) == net::DnssecState::secure) {
    found_.mx.origin = MxOrigin::secure;
  }
  auto hosts =
      delivery::mx_hosts(answer, *settings_.next_hop.policy_domain(), settings_.own_name,
                         static_cast<std::size_t>(settings_.worker->delivery.hosts_per_attempt),
                         [](std::span<MxHost>) {});
  if (auto* end = std::get_if<delivery::Undeliverable>(&hosts)) {
    found_.mx.undeliverable = std::move(*end);
    return;
  }
  use_hosts(std::get<std::vector<MxHost>>(std::move(hosts)));
}

void Survey::use_hosts(std::vector<MxHost> hosts) {
  found_.mx.hosts = hosts;
  if (settings_.only_host) {
    std::erase_if(hosts, [&](const MxHost& host) { return host.name != *settings_.only_host; });
    if (hosts.empty()) {
      hosts.push_back(MxHost{*settings_.only_host, 0, MxHost::Source::mx_record});
      found_.mx.origin = MxOrigin::insecure;
    }
  }
  for (MxHost& host : hosts) {
    using Problem = delivery::HostAddresses::Problem;
    found_.hosts.push_back({std::move(host), {{}, Problem::lookup_failed, kLate}, {}, {}, {}, {}});
  }
  lookups_.resize(found_.hosts.size());
  for (std::size_t i = 0; i < found_.hosts.size(); ++i) {
    look_up(i);
  }
}

void Survey::look_up(std::size_t host) {
  const std::string name = found_.hosts[host].host.name.text();
  ask(name, net::DnsType::a, [this, host](const net::DnsResult& answer) {
    lookups_[host].a = answer;
    on_addresses(host);
  });
  ask(name, net::DnsType::aaaa, [this, host](const net::DnsResult& answer) {
    lookups_[host].aaaa = answer;
    on_addresses(host);
  });
}

void Survey::on_addresses(std::size_t host) {
  HostLookup& lookup = lookups_[host];
  if (!lookup.a || !lookup.aaaa) {
    return;
  }
  const net::DomainName name = found_.hosts[host].host.name;
  const auto allowed = settings_.next_hop.origin == delivery::NextHop::Origin::route
                           ? delivery::PrivateAddresses::allowed
                           : settings_.worker->private_addresses;
  found_.hosts[host].addresses = delivery::host_addresses(
      name, *lookup.a, *lookup.aaaa, settings_.next_hop.port, allowed,
      delivery::uses_ipv6(settings_.worker->delivery, settings_.recipient_domain)
          ? delivery::Families::ipv6_first
          : delivery::Families::only_ipv4);
  if (found_.hosts[host].addresses.problem != delivery::HostAddresses::Problem::none) {
    return;
  }
  lookup.tlsa.emplace(delivery::TlsaSearch::Subject{
      name, *settings_.next_hop.policy_domain(), found_.mx.origin,
      delivery::tlsa_port(settings_.next_hop, settings_.worker->smtp_port)});
  on_tlsa_step(host, lookup.tlsa->start(*lookup.a, *lookup.aaaa));
}

void Survey::on_tlsa_step(std::size_t host, delivery::TlsaStep step) {
  delivery::TlsaSearch& search = *lookups_[host].tlsa;
  if (auto* alias = std::get_if<delivery::FindAlias>(&step)) {
    ask(alias->name.text(), net::DnsType::cname,
        [this, host, &search](const auto& answer) { on_tlsa_step(host, search.on_alias(answer)); });
  } else if (auto* tlsa = std::get_if<delivery::FindTlsa>(&step)) {
    ask(tlsa->owner, net::DnsType::tlsa,
        [this, host, &search](const auto& answer) { on_tlsa_step(host, search.on_tlsa(answer)); });
  } else {
    found_.hosts[host].dane = std::move(std::get<delivery::HostDane>(step));
  }
}

void Survey::on_policy_step(const sts::DiscoveryStep& step) {
  if (const auto* next = std::get_if<sts::FetchPolicy>(&step)) {
    return fetch(next->host);
  }
  if (const auto* verdict = std::get_if<sts::PolicyVerdict>(&step)) {
    policy_known_ = true;
    found_.policy.policy = verdict->policy;
    found_.policy.fault = verdict->fault;
    found_.policy.hold = verdict->hold;
  }
}

void Survey::fetch(const std::string& policy_host) {
  found_.policy.source = PolicyExamination::Source::https;
  const bool usual = settings_.worker->https_port == 443;
  found_.policy.where =
      fmt::format("https://{}{}{}", policy_host,
                  usual ? "" : fmt::format(":{}", settings_.worker->https_port), kPolicyPath);
  found_.policy.fault =
      sts::DiscoveryFault{sts::DiscoveryFault::Kind::fetch_error, "timeout"};  // until it is there
  const auto name = net::DomainName::parse(policy_host);
  if (!name) {
    return fetched(sts::HttpFailure{false, "no-address"});
  }
  progress_("fetching " + found_.policy.where);
  const auto both = [this, host = *name] {
    if (policy_a_ && policy_aaaa_) {
      get_policy(host);
    }
  };
  ask(policy_host, net::DnsType::a, [this, both](const net::DnsResult& answer) {
    policy_a_ = answer;
    both();
  });
  ask(policy_host, net::DnsType::aaaa, [this, both](const net::DnsResult& answer) {
    policy_aaaa_ = answer;
    both();
  });
}

void Survey::get_policy(const net::DomainName& policy_host) {
  auto addresses = delivery::policy_host_addresses(
      *policy_a_, *policy_aaaa_, settings_.worker->https_port, settings_.worker->private_addresses);
  if (!addresses) {
    return fetched(sts::HttpFailure{false, std::move(addresses.error())});
  }
  const net::HttpsRequest request{policy_host, settings_.worker->https_port, kPolicyPath,
                                  std::move(*addresses), net::DescribeChain::yes};
  ++open_;
  operations_.push_back(
      https_.get(request, [this](Expected<net::HttpsResponse, net::HttpsFailure> response) {
        found_.policy.peer = std::move(response ? response->peer : response.error().peer);
        fetched(delivery::fetch_result(std::move(response)));
        step_over();
      }));
}

void Survey::fetched(const sts::FetchResult& result) {
  found_.policy.fetch = result;
  on_policy_step(discovery_.on_policy(result, clock_.wall()));
  const auto* answer = std::get_if<sts::HttpAnswer>(&result);
  using Kind = sts::DiscoveryFault::Kind;
  const auto& fault = found_.policy.fault;
  if (answer != nullptr && (!fault || fault->kind == Kind::policy_invalid)) {
    found_.policy.body = answer->body;
    found_.policy.lint = lint(answer->body, to_ascii);
  }
}

delivery::TlsInputs Survey::inputs() const {
  delivery::TlsInputs inputs;
  inputs.policy = found_.policy.policy.get();
  inputs.rule = found_.rule;
  inputs.mx = found_.mx.origin;
  inputs.composition = settings_.composition;
  inputs.upstream = settings_.next_hop.upstream.get();
  return inputs;
}

void Survey::decide() {
  phase_ = Phase::probes;
  if (!policy_known_ && found_.policy.source != PolicyExamination::Source::file) {
    on_policy_step(discovery_.without_waiting());
  }
  found_.at = clock_.wall();
  const delivery::TlsInputs said = inputs();
  found_.rule = delivery::rule_in_force(said.rule, said.policy);
  for (HostExamination& host : found_.hosts) {
    const std::string& name = host.host.name.text();
    host.decision = delivery::decide(said, host.dane ? &*host.dane : nullptr, name);
    host.explanation = delivery::explain(host.decision, said, name);
    if (settings_.connecting == Examination::Connecting::yes) {
      for (const net::SocketAddress& address : host.addresses.usable) {
        if (host.sessions.size() < addresses_kept(settings_)) {
          host.sessions.push_back({address, kLate, {}, {}, {}, {}});
        }
      }
    }
  }
}

void Survey::start_probes() {
  for (std::size_t host = 0; host < found_.hosts.size(); ++host) {
    for (std::size_t session = 0; session < found_.hosts[host].sessions.size(); ++session) {
      waiting_.push_back({host, session});
      probes_.push_back(std::make_unique<Probe>(
          loop_, settings_.tls,
          Probe::Target{found_.hosts[host].host.name, found_.hosts[host].sessions[session].address},
          client_settings(found_.hosts[host]),
          [this, host, session](HostSession result) { probed(host, session, std::move(result)); }));
    }
  }
  open_ = probes_.size();
  if (open_ == 0) {
    return finish();
  }
  progress_(fmt::format("connecting to {} address{}", open_, open_ == 1 ? "" : "es"));
  for (std::size_t i = 0; i < std::min(kProbes, probes_.size()); ++i) {
    waiting_.pop_front();
    probes_[i]->start();
  }
}

void Survey::probed(std::size_t host, std::size_t session, HostSession result) {
  found_.hosts[host].sessions[session] = std::move(result);
  progress_(fmt::format("talked to {}", found_.hosts[host].host.name.text()));
  if (!waiting_.empty()) {
    waiting_.pop_front();
    probes_[probes_.size() - waiting_.size() - 1]->start();
  }
  step_over();
}

smtp::ClientSettings Survey::client_settings(const HostExamination& host) const {
  const conf::Timeouts& t = settings_.worker->delivery.timeouts;
  const auto at_most = [&](std::chrono::milliseconds wait) {
    return std::min(wait, settings_.time);
  };
  smtp::ClientSettings settings;
  const auto& upstream = settings_.next_hop.upstream;
  if (upstream != nullptr && upstream->effective_tls() == conf::Upstream::Tls::implicit) {
    settings.tls_start = smtp::TlsStart::implicit;
  }
  settings.helo_name = settings_.worker->hostname;
  settings.timeouts.connect = at_most(t.connect);
  settings.timeouts.greeting = at_most(t.greeting);
  settings.timeouts.ehlo = at_most(t.ehlo);
  settings.timeouts.starttls = at_most(t.starttls);
  settings.tls = probed_with(host);
  return settings;
}

void Survey::finish() {
  if (phase_ == Phase::over) {
    return;
  }
  phase_ = Phase::over;
  deadline_.stop();
  operations_.clear();
  done_();
}

}  // namespace relay::cli
