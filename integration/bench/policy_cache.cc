// What a large policy cache costs: stores policies (default: 1,000,000), loads them as a start
// does, and decides about hosts as deliveries do. Prints seconds, memory, and what a decision
// costs per host; last all of it as one line of JSON. Fails if a decision allocates; times are
// the machine's, so they fail nothing.
// Usage: bench_policy_cache [COUNT [DIRECTORY]]
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <new>
#include <random>
#include <string>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "relay/delivery/local_rules.h"
#include "relay/delivery/policy_keeper.h"
#include "relay/delivery/tls_policy.h"
#include "relay/spool/spool.h"
#include "relay/spool/spool_reader.h"

namespace {

/// Of operator new in this program, which a decision must not need.
std::size_t allocations = 0;

}  // namespace

// Not inlined: g++ 12 would take the free() in one for the wrong counterpart of the other.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) {
    return memory;
  }
  throw std::bad_alloc{};
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t /*size*/) noexcept {
  std::free(memory);
}

namespace {

using Clock = std::chrono::steady_clock;
using relay::delivery::PolicyKeeper;
using relay::spool::Spool;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// Of this process so far, in its code and the kernel: what a busy machine does not falsify.
double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  double pages = 0;
  statm >> pages >> pages;
  return pages * static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1e6;
}

std::string domain_name(std::size_t number) {
  return fmt::format("customer-{}.example.com", number);
}

sts::CachedPolicy policy(std::size_t number, sts::Time now) {
  const std::string domain = domain_name(number);
  auto parsed = sts::parse_policy(
      fmt::format("version: STSv1\r\nmode: enforce\r\nmx: mx1.{0}\r\nmx: *.mail.{0}\r\n"
                  "max_age: 604800\r\n",
                  domain),
      sts::Strictness::strict);
  return {domain, "20260101T000000", std::move(*parsed.policy), now,
          now + std::chrono::seconds(604800)};
}

std::unique_ptr<Spool> open(const std::string& directory, const relay::net::Clock& clock) {
  relay::spool::SpoolOptions options;
  options.directory = directory;
  auto opened = Spool::open(options, clock);
  if (!opened) {
    fmt::print(stderr, "{}\n", opened.error());
    std::exit(1);
  }
  return std::move(*opened);
}

/// In a process of its own, whose memory does not count.
void fill(const std::string& directory, std::size_t count) {
  const pid_t child = ::fork();
  if (child == 0) {
    const relay::net::SystemClock clock;
    {
      const auto spool = open(directory, clock);
      for (std::size_t i = 0; i < count; ++i) {
        spool->save_policy(policy(i, clock.wall()));
      }
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
}

/// What else has a say beside the cached policy.
struct Situation {
  const char* name;
  relay::delivery::LocalRules rules;
  relay::delivery::TlsInputs inputs;
  const relay::delivery::HostDane* dane = nullptr;
};

relay::delivery::LocalRules pinned_for_report_only() {
  conf::TlsPolicy policy;
  policy.report_only = true;
  conf::TlsRule pin;
  pin.mx = {"mx9.example.com", "*.mail.example.com"};
  policy.domains.emplace("*.example.com", pin);
  return relay::delivery::LocalRules({policy, {}, {}});
}

relay::delivery::HostDane usable_records() {
  relay::delivery::HostDane dane;
  dane.state = relay::delivery::HostDane::State::usable;
  dane.expectation = std::make_shared<const relay::net::DaneExpectation>(
      relay::net::DaneExpectation{{{3, 1, 1, std::string(32, 'x')}}, {}});
  return dane;
}

std::vector<Situation> situations(const relay::delivery::HostDane& dane) {
  using relay::delivery::MxOrigin;
  std::vector<Situation> all;
  all.push_back({"policy", {}, {}});
  all.push_back({"policy, pin, report-only", pinned_for_report_only(), {}});
  all.push_back({"policy, DANE", {}, {}, &dane});
  all.back().inputs.mx = MxOrigin::secure;
  all.push_back({"policy, DANE, REQUIRETLS", {}, {}, &dane});
  all.back().inputs.mx = MxOrigin::secure;
  all.back().inputs.message = relay::spool::MessageTls::required;
  return all;
}

/// Of decisions in one situation, per host.
struct Cost {
  double nanoseconds = 0;  ///< of CPU, the median of the rounds
  double allocations = 0;  ///< in all rounds
};

/// Decides about hosts of policies that are spread over the whole cache, from the lookup of policy
/// and rule to the requirement.
Cost decide(PolicyKeeper& keeper, Situation situation, std::size_t count, sts::Time now) {
  constexpr std::size_t kDecisions = 200'000;
  std::mt19937_64 random(1);
  std::vector<std::string> domains;
  std::vector<std::string> hosts;
  for (std::size_t i = 0; i < 10'000; ++i) {
    domains.push_back(domain_name(random() % count));
    hosts.push_back("a.mail." + domains.back());
  }
  std::size_t refused = 0;
  relay::delivery::TlsInputs& inputs = situation.inputs;
  const std::size_t before = allocations;
  std::array<double, 5> rounds{};
  for (double& round : rounds) {
    const double cpu = cpu_seconds();
    for (std::size_t i = 0; i < kDecisions; ++i) {
      const std::size_t which = i % domains.size();
      const auto found = keeper.cache().find(domains[which], now);
      inputs.policy = found.get();
      inputs.rule = situation.rules.find(domains[which], now);
      refused += !relay::delivery::decide(inputs, situation.dane, hosts[which]).requirement;
    }
    round = (cpu_seconds() - cpu) * 1e9 / kDecisions;
  }
  const double allocated = static_cast<double>(allocations - before) / (kDecisions * rounds.size());
  std::sort(rounds.begin(), rounds.end());
  const double median = rounds[rounds.size() / 2];
  fmt::print("warm decision per host ({}): {:.0f} ns of CPU, {} allocations; {}\n", situation.name,
             median, allocated, refused == 0 ? "admitted" : "refused");
  return {median, allocated};
}

}  // namespace

int main(int argc, char** argv) {
  const std::size_t count = argc > 1 ? std::stoul(argv[1]) : 1'000'000;
  const auto directory = std::filesystem::path(argc > 2 ? argv[2] : "/var/tmp") /
                         fmt::format("stsrelay-bench-{}", ::getpid());
  auto start = Clock::now();
  fill(directory, count);
  fmt::print("{} policies stored in {:.1f} s\n", count, seconds_since(start));

  const relay::net::SystemClock clock;
  relay::net::EventLoop loop;
  relay::Log log{conf::Logging{}};
  const auto spool = open(directory, clock);
  auto reader = relay::spool::SpoolReader::open(directory);
  if (!reader) {
    fmt::print(stderr, "{}\n", reader.error());
    return 1;
  }
  const double before = resident_mb();
  start = Clock::now();
  const double cpu = cpu_seconds();
  std::mt19937_64 engine(1);
  PolicyKeeper keeper(
      loop, clock, *spool, log,
      {count, 5, [&engine] { return std::uniform_real_distribution<double>()(engine); }});
  {
    std::vector<std::shared_ptr<const sts::CachedPolicy>> stored;
    const auto read = (*reader)->each_policy([&](relay::spool::SpoolReader::StoredPolicy each) {
      if (each) {
        stored.push_back(std::move(*each));
      }
    });
    if (!read) {
      fmt::print(stderr, "{}\n", read.error().reason);
      return 1;
    }
    keeper.load({stored, {}});
  }
  nlohmann::json figures{{"policies", keeper.gauges().cached.load()},
                         {"load_seconds", seconds_since(start)},
                         {"load_cpu_seconds", cpu_seconds() - cpu},
                         {"memory_mb", resident_mb() - before}};
  fmt::print("{} policies loaded in {:.1f} s, {:.1f} s of CPU\n", keeper.gauges().cached.load(),
             figures["load_seconds"].get<double>(), figures["load_cpu_seconds"].get<double>());
  fmt::print("memory: {:.0f} MB more, {:.0f} MB in all\n", figures["memory_mb"].get<double>(),
             resident_mb());
  bool allocated = false;
  const auto dane = usable_records();
  for (Situation& situation : situations(dane)) {
    const std::string name = situation.name;
    const Cost cost = decide(keeper, std::move(situation), count, clock.wall());
    figures["decisions"][name] = {{"nanoseconds", cost.nanoseconds},
                                  {"allocations", cost.allocations}};
    allocated = allocated || cost.allocations > 0;
  }
  std::filesystem::remove_all(directory);
  fmt::print("{}\n", figures.dump());
  return allocated ? 1 : 0;
}
