// A reporter between a name server, a server that takes reports and a spool, all on loopback.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "relay/reporting/reporter.h"
#include "relay/spool/spool.h"
#include "relay/spool/spool_reader.h"
#include "rpt/gunzip.h"
#include "tests/relay/net/dns_packet.h"
#include "tests/relay/net/dns_responder.h"
#include "tests/relay/net/https_fixture.h"
#include "tests/relay/net/loop_fixture.h"
#include "tests/relay/spool/fixture.h"

namespace reporting_world {

namespace spool = relay::spool;
namespace net = relay::net;
using namespace std::chrono_literals;
using relay::reporting::ReportSettings;
using spool::testing::session;
using spool::testing::session_day;

inline const std::chrono::sys_days kNextDay = session_day() + std::chrono::days(1);
/// When every report of session_day() is due.
inline const net::WallTime kDue = kNextDay + 5h;

inline conf::Reports reports_settings() {
  conf::Reports reports;
  reports.organization = "Sender";
  reports.contact = "tls@sender.example";
  return reports;
}

/// What a server answers.
inline std::string status(const std::string& line, const std::string& headers = "") {
  return support::response("", "HTTP/1.1 " + line, headers);
}

class World {
 public:
  explicit World(support::PolicyHost::Script script)
      : host(std::move(script)), dns(loop, [this](const support::DnsAsked& asked) {
          return std::vector<std::string>{answer(asked)};
        }) {
    settings.reports = reports_settings();
    settings.hostname = "relay.sender.example";
    settings.private_addresses = ReportSettings::PrivateAddresses::allowed;
    clock.set_wall(kDue);
    open();
  }
  explicit World(const std::string& answer = status("201 Created"))
      : World([answer](const support::TlsPeer& peer) { peer.send(answer); }) {}
  ~World() { close(); }
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  /// Starts over the spool as it is; run_until() begins.
  void open() {
    store = spool::testing::open_spool(directory.spool(), clock);
    reader = spool::testing::open_reader(directory.spool());
  }
  void begin() {
    net::DnsClientOptions dns_options;
    dns_options.resolvers = {dns.address()};
    dns_options.try_timeout = 5s;
    net::HttpsClientOptions https;
    https.ca_file = roots.path();
    reporter = std::make_unique<relay::reporting::Reporter>(relay::reporting::Reporter::Parts{
        loop, clock, *store, log, spool::testing::open_reader(directory.spool()), dns_options,
        https, std::make_shared<const ReportSettings>(settings)});
    reporter->begin();
  }
  void close() {
    if (reporter) {
      reporter->stop();
    }
    reporter.reset();
    store.reset();
    support::settle(loop);
  }
  void restart() {
    close();
    open();
    begin();
  }
  /// Goes on with what is on disk at this moment, and nothing else.
  void kill() {
    const std::string left = directory.spool() + ".left";
    std::filesystem::copy(directory.spool(), left, std::filesystem::copy_options::recursive);
    reader.reset();
    close();
    std::filesystem::remove_all(directory.spool());
    std::filesystem::rename(left, directory.spool());
    open();
    begin();
  }

  /// Stores and waits until it is on disk, and with it all that was handed over before.
  void write(spool::ReportWrite write) {
    bool stored = false;
    store->write_report(std::move(write), loop, [&](const spool::Stored<void>& done) {
      stored = done.has_value();
      loop.stop();
    });
    support::run(loop);
    REQUIRE(stored);
  }
  void count(const rpt::SessionResult& result) {
    store->count({result});
    write({});
  }
  void count(const std::string& domain) { count(session(domain)); }
  void count_failure(const std::string& domain) {
    auto failed = session(domain);
    failed.policies[0].failures = {{rpt::ResultType::certificate_expired, "192.0.2.1",
                                    "mx." + domain, "mx." + domain, "192.0.2.2", "expired"}};
    count(failed);
  }
  void publish(const std::string& domain, const std::string& rua) {
    records["_smtp._tls." + domain] = "v=TLSRPTv1;rua=" + rua;
  }
  [[nodiscard]] std::string post_uri(const std::string& path = "/v1") const {
    return "https://" + std::string(support::kPolicyName) + ":" +
           std::to_string(host.address().port()) + path;
  }

  /// Runs the loop until it holds.
  void run_until(const std::function<bool()>& holds) {
    if (!reporter) {
      begin();
    }
    std::unique_ptr<net::Timer> again;
    again = std::make_unique<net::Timer>(loop, [&] {
      if (holds()) {
        loop.stop();
      } else {
        again->start(1ms);
      }
    });
    again->start(0ms);
    support::run(loop);
  }
  [[nodiscard]] spool::ReportKey key(const std::string& domain = "a.example") const {
    return {session_day(), domain};
  }
  std::optional<spool::StoredReport> report(const std::string& domain = "a.example") {
    return *reader->report(key(domain));
  }
  std::vector<spool::ReportDelivery> deliveries(const std::string& domain = "a.example") {
    return *reader->report_deliveries(key(domain));
  }
  /// Waits until the domain's report is in a state.
  void wait_for(spool::ReportState state, const std::string& domain = "a.example") {
    run_until([&] {
      const auto found = report(domain);
      return found && found->state == state;
    });
  }
  /// Waits until the only delivery of a domain satisfies a condition.
  spool::ReportDelivery wait_for_delivery(
      const std::function<bool(const spool::ReportDelivery&)>& holds) {
    run_until([&] {
      const auto found = deliveries();
      return found.size() == 1 && holds(found[0]);
    });
    return deliveries().at(0);
  }
  spool::ReportDelivery wait_for_stage(rpt::Stage stage) {
    return wait_for_delivery([&](const auto& delivery) { return delivery.stage == stage; });
  }
  /// The body of the last POST, unpacked.
  [[nodiscard]] std::string posted_json() const {
    const std::string request = host.last_request();
    const auto text = rpt::gunzip(request.substr(request.find("\r\n\r\n") + 4), {});
    return text ? text->octets : "";
  }

  spool::testing::TemporaryDirectory directory;
  spool::testing::ManualClock clock;
  net::EventLoop loop;
  support::TemporaryFile roots{support::authority().pem()};
  support::PolicyHost host;
  std::map<std::string, std::string> records;  ///< TXT by name; "SERVFAIL" fails
  support::DnsResponder dns;
  ReportSettings settings;
  relay::Log log{{}, ::memfd_create("log", 0)};
  std::unique_ptr<spool::Spool> store;
  std::unique_ptr<spool::SpoolReader> reader;
  std::unique_ptr<relay::reporting::Reporter> reporter;

 private:
  std::string answer(const support::DnsAsked& asked) const {
    support::DnsPacket packet(asked.question);
    const std::string& name = asked.question.name;
    const auto record = records.find(name);
    if (asked.question.type == net::DnsType::a && name == support::kPolicyName) {
      packet.answer(name, net::DnsType::a, 60, support::rdata::a("127.0.0.1"));
    } else if (asked.question.type != net::DnsType::txt || record == records.end()) {
      packet.authority("example", support::kSoa, 60, support::rdata::soa(60));
    } else if (record->second == "SERVFAIL") {
      packet.rcode(2);
    } else {
      packet.answer(name, net::DnsType::txt, 60, support::rdata::txt({record->second}));
    }
    return packet.bytes();
  }
};

}  // namespace reporting_world
