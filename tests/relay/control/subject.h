// Control actions over a daemon that is only a spool.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include "relay/control/control_actions.h"
#include "tests/relay/spool/fixture.h"

namespace relay::control::testing {

using namespace relay::spool::testing;
using relay::spool::MessageId;
using relay::spool::StoreFault;
using Json = nlohmann::ordered_json;

/// A daemon that is only a spool.
class Subject {
 public:
  Subject() {
    DaemonActions daemon;
    daemon.change_queue = [this](std::vector<relay::spool::MessageChange> changes,
                                 DaemonActions::Changed done) {
      if (change_fault) {
        thread.loop().post([this, done] { done(tl::unexpected(*change_fault)); });
        return;
      }
      spool->change(std::move(changes), thread.loop(),
                    [this, done](const relay::spool::Stored<std::vector<std::size_t>>& changed) {
                      done(DaemonActions::QueueChanged{*changed, busy});
                    });
    };
    daemon.ask_busy = [this](const std::vector<MessageId>&, DaemonActions::Busy done) {
      thread.loop().post([this, done] { done(busy); });
    };
    daemon.settle = [this](relay::spool::Settlement settlement,
                           std::function<void(relay::spool::Stored<void>)> done) {
      spool->settle(std::move(settlement), thread.loop(), std::move(done));
    };
    daemon.pause = [this](relay::spool::Pause pause,
                          std::function<void(relay::spool::Stored<void>)> done) {
      spool->save_pause(std::move(pause), thread.loop(), std::move(done));
    };
    daemon.resume = [this](const QueueResume& wanted, DaemonActions::Counted done) {
      spool->remove_pause(wanted.kind, wanted.name, thread.loop(), std::move(done));
    };
    daemon.clients = [this] { return clients; };
    daemon.hold_client = [this](relay::spool::ClientHold hold,
                                std::function<void(relay::spool::Stored<void>)> done) {
      spool->save_client_hold(std::move(hold), thread.loop(), std::move(done));
    };
    daemon.release_client = [this](const std::string& name, const std::string& /*by*/,
                                   DaemonActions::Counted done) {
      spool->remove_client_hold(name, thread.loop(), std::move(done));
    };
    daemon.queue_settings = [] { return conf::Queue{}; };
    daemon.notice_facts = [this] {
      return relay::delivery::NoticeFacts{"relay.example", spool->new_id(), clock.wall(),
                                          std::chrono::hours(96)};
    };
    daemon.next_hop = [](const relay::spool::Envelope& /*envelope*/, const std::string& domain) {
      return domain + ":25";
    };
    daemon.audit = [this](const QueueChange& request, const relay::spool::Envelope& envelope,
                          std::size_t recipients) {
      audit.push_back(std::string(name(request.action)) + " " + envelope.id.text() + " " +
                      std::to_string(recipients) + " " + request.by);
    };
    daemon.later = [this](std::function<void()> step) { thread.loop().post(std::move(step)); };
    daemon.policy_state = [this](const relay::net::DomainName& domain, DaemonActions::State done) {
      asked_about = domain.text();
      thread.loop().post([this, done] { done(policy_state); });
    };
    daemon.refresh_policy = [this](const relay::net::DomainName& domain,
                                   DaemonActions::Verdict done) {
      asked_about = domain.text();
      thread.loop().post([this, done] { done(verdict); });
    };
    daemon.status = [] {
      StatusFacts facts;
      facts.hostname = "relay.example";
      facts.listeners = {"127.0.0.1:25"};
      facts.workers = 2;
      facts.deliveries_in_flight = 1;
      facts.deliveries_ready = 2;
      facts.deliveries_waiting = 3;
      facts.delivered = 4;
      facts.deferred = 5;
      facts.failed = 6;
      facts.policies.cached = 7;
      facts.policies.failing = 1;
      facts.policies.earliest_expiry = relay::net::WallTime(std::chrono::seconds(86400));
      using Kind = sts::DiscoveryFault::Kind;
      facts.policies.failing_policies = {{"a.example",
                                          {relay::net::WallTime{},
                                           sts::Alert::warning,
                                           {Kind::webpki_invalid, "expired"},
                                           *facts.policies.earliest_expiry}}};
      facts.policies.fetch_failures = {{{Kind::fetch_error, "http-404"}, 8}};
      return facts;
    };
    daemon.reload = [this] { return reload_answer; };
    actions = std::make_unique<ControlActions>(*reader, clock, std::move(daemon));
  }

  Response execute(const Request& request) {
    return thread.ask<Response>([&](std::function<void(Response)> answer) {
      actions->execute(request, std::move(answer));
    });
  }
  Json data(const Request& request) {
    const Response response = execute(request);
    REQUIRE(response.error == "");
    return Json::parse(response.data);
  }
  MessageId put(const std::string& sender, const std::vector<std::string>& domains) {
    auto envelope = envelope_to(domains);
    envelope.sender = sender;
    envelope.received_at = clock.wall();
    envelope.expires_at = clock.wall() + std::chrono::hours(96);
    for (auto& recipient : envelope.recipients) {
      recipient.next_try = clock.wall() + std::chrono::hours(1);
    }
    return store(*spool, thread, envelope, 100);
  }
  void save(const std::string& domain) {
    auto parsed =
        sts::parse_policy("version: STSv1\nmode: enforce\nmx: mx." + domain + "\nmax_age: 86400\n",
                          sts::Strictness::strict);
    REQUIRE(parsed.policy);
    spool->save_policy({domain, "20260301", std::move(*parsed.policy), clock.wall(),
                        clock.wall() + std::chrono::hours(24)});
    put("after@policy.example", {"flush.example"});  // a later commit: the policy is on disk, too
  }

  ManualClock clock;
  TemporaryDirectory directory;
  std::unique_ptr<relay::spool::Spool> spool = open_spool(directory.spool(), clock);
  std::unique_ptr<relay::spool::SpoolReader> reader = open_reader(directory.spool());
  relay::Expected<Reloaded, std::vector<std::string>> reload_answer;
  std::optional<StoreFault> change_fault;
  std::vector<relay::delivery::GroupKey> busy;
  std::vector<std::string> audit;
  std::vector<relay::reception::ClientState> clients;
  relay::delivery::PolicyState policy_state;
  sts::PolicyVerdict verdict;
  std::string asked_about;
  std::unique_ptr<ControlActions> actions;
  LoopThread thread;
};

}  // namespace relay::control::testing
