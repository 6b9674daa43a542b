// What counting for TLS reports costs, and a spool full of counts to make reports of.
//   bench_report_load tally [SESSIONS [DOMAINS]]      counts in memory: rate, octets per policy;
//                                                     exit 1 if a goal is missed
//   bench_report_load fill DIRECTORY DOMAINS SESSIONS stores today's counts; domain N is
//                                                     dN.loadM.test with M = N % 50
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <future>
#include <malloc.h>
#include <memory>
#include <random>
#include <string>
#include <sys/resource.h>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include "relay/net/event_loop.h"
#include "relay/spool/spool.h"
#include "rpt/tally.h"

namespace {

constexpr double kLeastRate = 500'000;  // sessions per second
constexpr double kMostOctets = 1024;    // per domain and policy
constexpr std::size_t kZones = 50;
constexpr std::size_t kBatch = 50'000;

/// Of this process so far: what a busy machine does not falsify.
double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

std::string domain_name(std::size_t number) {
  return fmt::format("d{}.load{:02}.test", number, number % kZones);
}

rpt::PolicyDescription policy(const std::string& domain, std::size_t number) {
  if (number % 4 != 0) {
    return {rpt::PolicyType::no_policy_found, {}, domain, {}};
  }
  return {rpt::PolicyType::sts,
          {"version: STSv1", "mode: enforce", "mx: *." + domain, "max_age: 604800"},
          domain,
          {"*." + domain}};
}

rpt::FailureDetail failure(const std::string& domain, std::size_t number) {
  rpt::FailureDetail detail;
  detail.type = number % 2 == 0 ? rpt::ResultType::starttls_not_supported
                                : rpt::ResultType::validation_failure;
  detail.sending_mta_ip = "192.0.2.1";
  detail.receiving_mx_hostname = "mx1." + domain;
  detail.receiving_mx_helo = "mx1." + domain;
  detail.receiving_ip = fmt::format("203.0.113.{}", number % 250);
  detail.reason_code = number % 2 == 0 ? "not-advertised" : "handshake-eof";
  return detail;
}

/// A session as such a domain has them: one domain of ten fails now and then.
rpt::SessionResult session(std::size_t domain, std::size_t number, std::chrono::sys_seconds now) {
  const std::string name = domain_name(domain);
  rpt::SessionResult result;
  result.report_domain = name;
  result.ended_at = now;
  result.policies.push_back({policy(name, domain), {}});
  if (domain % 10 == 0 && number % 5 == 0) {
    result.policies.back().failures.push_back(failure(name, domain + number % 2));
  }
  return result;
}

bool goal(const std::string& text, bool reached) {
  fmt::print("goal {}  {}\n", reached ? "met   " : "missed", text);
  return reached;
}

int tally(std::size_t sessions, std::size_t domains) {
  const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  // Made before, since a session's end makes it in any case.
  std::vector<rpt::SessionResult> made;
  for (std::size_t i = 0; i < domains; ++i) {
    made.push_back(session(i, i / 10, now));
  }
  std::shuffle(made.begin(), made.end(), std::mt19937_64(1));
  const std::size_t before = ::mallinfo2().uordblks;
  const auto tally = std::make_unique<rpt::Tally>();
  const double start = cpu_seconds();
  for (std::size_t i = 0; i < sessions; ++i) {
    tally->add(made[i % made.size()]);
  }
  const double rate = static_cast<double>(sessions) / (cpu_seconds() - start);
  const double octets = static_cast<double>(::mallinfo2().uordblks - before) /
                        static_cast<double>(tally->counts().size());
  bool met = goal(fmt::format("at least {:.0f} sessions counted per second of one core: {:.0f} "
                              "({} sessions, {} policies)",
                              kLeastRate, rate, sessions, tally->counts().size()),
                  rate >= kLeastRate);
  met = goal(fmt::format("less than {:.0f} octets of memory per domain and policy: {:.0f}",
                         kMostOctets, octets),
             octets < kMostOctets) &&
        met;
  return met ? 0 : 1;
}

/// Waits until what was handed over before is on disk.
void drain(relay::spool::Spool& spool, relay::net::EventLoop& loop) {
  std::promise<void> stored;
  spool.write_report({}, loop, [&](const relay::spool::Stored<void>&) { stored.set_value(); });
  stored.get_future().wait();
}

int fill(const std::string& directory, std::size_t domains, std::size_t sessions) {
  const relay::net::SystemClock clock;
  relay::spool::SpoolOptions options;
  options.directory = directory;
  auto spool = relay::spool::Spool::open(options, clock);
  if (!spool) {
    fmt::print(stderr, "{}\n", spool.error());
    return 1;
  }
  relay::net::EventLoop loop;
  std::thread runs([&] { loop.run(); });
  const auto now = std::chrono::floor<std::chrono::seconds>(clock.wall());
  std::vector<rpt::SessionResult> batch;
  std::size_t left = sessions;
  for (std::size_t domain = 0; domain < domains; ++domain) {
    const std::size_t share = left / (domains - domain);
    left -= share;
    for (std::size_t i = 0; i < share; ++i) {
      batch.push_back(session(domain, i, now));
    }
    if (batch.size() >= kBatch || domain + 1 == domains) {
      (*spool)->count(std::exchange(batch, {}));
      drain(**spool, loop);
    }
  }
  loop.stop();
  runs.join();
  return 0;
}

std::size_t number(const char* text) {
  return std::strtoull(text, nullptr, 10);
}

}  // namespace

int main(int count, char** arguments) {
  const std::string what = count > 1 ? arguments[1] : "";
  if (what == "tally") {
    return tally(count > 2 ? number(arguments[2]) : 5'000'000,
                 count > 3 ? number(arguments[3]) : 100'000);
  }
  if (what == "fill" && count == 5) {
    return fill(arguments[2], number(arguments[3]), number(arguments[4]));
  }
  fmt::print(stderr,
             "usage: bench_report_load tally [SESSIONS [DOMAINS]] | fill DIR DOMAINS "
             "SESSIONS\n");
  return 2;
}
