#include "relay/delivery/policy_resolver.h"

#include <array>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>
#include <sys/mman.h>

#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "relay/spool/spool_reader.h"
#include "tests/relay/net/certificates.h"
#include "tests/relay/net/dns_packet.h"
#include "tests/relay/net/dns_responder.h"
#include "tests/relay/net/loop_fixture.h"
#include "tests/support/manual_clock.h"

namespace {

namespace net = relay::net;
using relay::delivery::PolicyResolver;
using relay::delivery::PrivateAddresses;
using std::chrono::milliseconds;
using Source = sts::PolicyVerdict::Source;

const support::Certificate& authority() {
  static const support::Certificate made = [] {
    support::CertificateRequest request;
    request.common_name = "Test authority";
    request.use = support::CertificateRequest::Use::authority;
    return support::Certificate::self_signed(request);
  }();
  return made;
}

std::string body(const std::string& mode) {
  return "version: STSv1\nmode: " + mode + "\nmx: mx.a.example\nmax_age: 86400\n";
}

// Serves one body for every policy host; answers wait until the gate is open.
class PolicyHost {
 public:
  PolicyHost() : context_(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free) {
    support::CertificateRequest request;
    request.dns_names = {"mta-sts.a.example", "mta-sts.b.example", "mta-sts.c.example"};
    const auto certificate = authority().issue(request);
    REQUIRE(SSL_CTX_use_certificate(context_.get(), certificate.get()) == 1);
    REQUIRE(SSL_CTX_use_PrivateKey(context_.get(), certificate.key()) == 1);
    server_ = std::make_unique<support::PeerServer>(
        [this](support::PeerSocket& socket) { serve(socket); });
  }
  ~PolicyHost() { open(); }
  PolicyHost(const PolicyHost&) = delete;
  PolicyHost& operator=(const PolicyHost&) = delete;

  void serve_body(const std::string& text) {
    const std::scoped_lock lock(mutex_);
    body_ = text;
  }
  void close() {
    const std::scoped_lock lock(mutex_);
    gate_ = std::promise<void>();
    opened_ = gate_.get_future().share();
    is_open_ = false;
  }
  void open() {
    const std::scoped_lock lock(mutex_);
    if (!std::exchange(is_open_, true)) {
      gate_.set_value();
    }
  }
  [[nodiscard]] int requests() const { return requests_; }
  [[nodiscard]] std::uint16_t port() const { return server_->address().port(); }

 private:
  void serve(support::PeerSocket& socket) {
    const std::unique_ptr<SSL, decltype(&SSL_free)> tls(SSL_new(context_.get()), &SSL_free);
    SSL_set_fd(tls.get(), socket.fd());
    std::array<char, 4096> request{};
    if (SSL_accept(tls.get()) == 1 &&
        SSL_read(tls.get(), request.data(), static_cast<int>(request.size())) > 0) {
      ++requests_;
      std::shared_future<void> opened;
      std::string text;
      {
        const std::scoped_lock lock(mutex_);
        opened = opened_;
        text = body_;
      }
      if (opened.valid()) {
        opened.wait();
      }
      const std::string answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " +
                                 std::to_string(text.size()) + "\r\n\r\n" + text;
      SSL_write(tls.get(), answer.data(), static_cast<int>(answer.size()));
      SSL_shutdown(tls.get());
    }
    ERR_clear_error();
  }

  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::mutex mutex_;
  std::string body_ = body("enforce");
  std::promise<void> gate_;
  std::shared_future<void> opened_;
  bool is_open_ = true;
  std::atomic<int> requests_ = 0;
  std::unique_ptr<support::PeerServer> server_;  // last: its thread uses the rest
};

class TemporaryDirectory {
 public:
  TemporaryDirectory()
      : path_(std::filesystem::temp_directory_path() / "stsrelay-resolver-XXXXXX") {
    REQUIRE(::mkdtemp(path_.data()) != nullptr);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  [[nodiscard]] std::string spool() const { return path_ + "/spool"; }

 private:
  std::string path_;
};

// A resolver between a name server, a policy host and a spool, all on loopback.
struct World {
  World() {
    options.https_port = host.port();
    options.private_addresses = PrivateAddresses::allowed;
    open_spool();
  }
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World() { ::close(log_fd); }

  void open_spool() {
    relay::spool::SpoolOptions where;
    where.directory = directory.spool();
    auto opened = relay::spool::Spool::open(where, clock);
    REQUIRE(opened);
    spool = std::move(*opened);
  }

  static net::DnsClientOptions dns_options(const net::SocketAddress& server) {
    net::DnsClientOptions made;
    made.resolvers = {server};
    return made;
  }

  // TTL 0: every delivery asks anew.
  std::vector<std::string> answer(const net::DnsQuestion& question) {
    ++queries[static_cast<unsigned>(question.type)];
    support::DnsPacket packet(question);
    if (question.type == net::DnsType::txt) {
      packet.answer(question.name, question.type, 0, support::rdata::txt({"v=STSv1; id=" + id}));
    } else if (question.type == net::DnsType::a) {
      packet.answer(question.name, question.type, 0, support::rdata::a("127.0.0.1"));
    }
    return {packet.bytes()};
  }

  PolicyResolver& start(std::vector<sts::CachedPolicy> loaded = {}) {
    resolver = std::make_unique<PolicyResolver>(loop, clock, dns, https, *spool, log, options,
                                                std::move(loaded), 1000);
    return *resolver;
  }

  // Asks and lets the loop run until there is an answer.
  sts::PolicyVerdict resolve(const std::string& domain = "a.example") {
    std::optional<sts::PolicyVerdict> verdict;
    const auto operation = ask(domain, [&](const sts::PolicyVerdict& given) {
      verdict = given;
      loop.stop();
    });
    CHECK_FALSE(verdict);
    support::run(loop);
    REQUIRE(verdict);
    return *verdict;
  }

  net::Operation ask(const std::string& domain, PolicyResolver::Callback done) {
    return resolver->resolve(*net::DomainName::parse(domain), net::DnsCacheUse::allowed,
                             std::move(done));
  }

  // What a restart would find.
  std::vector<sts::CachedPolicy> stored() {
    resolver.reset();
    spool.reset();
    auto reader = relay::spool::SpoolReader::open(directory.spool());
    REQUIRE(reader);
    auto policies = (*reader)->policies();
    REQUIRE(policies);
    return *policies;
  }

  [[nodiscard]] std::string logged() const {
    std::string text(static_cast<std::size_t>(::lseek(log_fd, 0, SEEK_END)), '\0');
    REQUIRE(::pread(log_fd, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
    return text;
  }

  TemporaryDirectory directory;
  PolicyHost host;
  support::TemporaryFile roots{authority().pem()};
  support::ManualClock clock;
  net::EventLoop loop;
  std::string id = "1";
  std::map<unsigned, int> queries;
  support::DnsResponder name_server{
      loop, [this](const support::DnsAsked& asked) { return answer(asked.question); }};
  net::DnsClient dns{loop, clock, dns_options(name_server.address())};
  net::HttpsClient https{loop, {.ca_file = roots.path()}};
  int log_fd = ::memfd_create("log", MFD_CLOEXEC);
  relay::Log log{conf::Logging{}, log_fd};
  PolicyResolver::Options options;
  std::unique_ptr<relay::spool::Spool> spool;
  std::unique_ptr<PolicyResolver> resolver;
};

constexpr unsigned kTxt = static_cast<unsigned>(net::DnsType::txt);

}  // namespace

TEST_CASE("S26: a hundred deliveries at once make one TXT query and one GET") {
  World world;
  world.start();
  std::vector<net::Operation> operations;
  int answered = 0;
  for (int i = 0; i < 100; ++i) {
    operations.push_back(world.ask("a.example", [&](const sts::PolicyVerdict& verdict) {
      CHECK(verdict.policy != nullptr);
      if (++answered == 100) {
        world.loop.stop();
      }
    }));
  }
  CHECK(answered == 0);
  support::run(world.loop);
  CHECK(answered == 100);
  CHECK(world.queries[kTxt] == 1);
  CHECK(world.host.requests() == 1);
}

TEST_CASE("a fetched policy is cached, stored and used without a second fetch") {
  World world;
  world.start();
  CHECK(world.resolve().source == Source::fetched);
  CHECK(world.resolve().source == Source::cache);
  CHECK(world.host.requests() == 1);
  CHECK(world.resolver->cache().size() == 1);
  const auto stored = world.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].domain == "a.example");
  CHECK(stored[0].policy.body == body("enforce"));
}

TEST_CASE("policies loaded at the start are used, expired ones are dropped from the disk") {
  World world;
  world.start();
  CHECK(world.resolve("a.example").source == Source::fetched);
  CHECK(world.resolve("b.example").source == Source::fetched);
  auto stored = world.stored();
  REQUIRE(stored.size() == 2);
  auto& expiring = stored[stored[0].domain == "b.example" ? 0 : 1];
  expiring.expires_at = world.clock.wall();
  world.open_spool();
  world.start(stored);
  CHECK(world.resolver->cache().size() == 1);
  CHECK(world.resolve("a.example").source == Source::cache);
  REQUIRE(world.stored().size() == 1);
}

TEST_CASE("a life shortened because the clock was set back stays short after a restart") {
  World world;
  world.start();
  CHECK(world.resolve().source == Source::fetched);
  auto stored = world.stored();
  world.clock.advance(-std::chrono::hours(24));
  world.open_spool();
  world.start(stored);
  stored = world.stored();
  REQUIRE(stored.size() == 1);
  CHECK(stored[0].expires_at == world.clock.wall() + std::chrono::hours(24));
}

TEST_CASE("cancelling one delivery leaves the others waiting for the same answer") {
  World world;
  world.start();
  bool cancelled_called = false;
  std::optional<net::Operation> cancelled = world.ask(
      "a.example", [&](const sts::PolicyVerdict& /*verdict*/) { cancelled_called = true; });
  const auto kept =
      world.ask("a.example", [&](const sts::PolicyVerdict& /*verdict*/) { world.loop.stop(); });
  cancelled.reset();
  support::run(world.loop);
  CHECK_FALSE(cancelled_called);
  CHECK(world.host.requests() == 1);
}

TEST_CASE("A25: a delivery waits its budget, the fetch goes on and serves the next one") {
  World world;
  world.options.first_contact_wait = milliseconds(20);
  world.host.close();
  world.start();
  const auto first = world.resolve();
  CHECK(first.policy == nullptr);
  REQUIRE(first.fault);
  CHECK(first.fault->reason == "timeout");
  CHECK(world.resolver->cache().size() == 0);
  world.host.open();
  sts::PolicyVerdict next = world.resolve();
  while (next.policy == nullptr) {
    next = world.resolve();
  }
  CHECK(next.policy->policy.mode == sts::Mode::enforce);
  CHECK(world.host.requests() == 1);
}

TEST_CASE("F24: a policy host at a private address is not connected to") {
  World world;
  world.options.private_addresses = PrivateAddresses::refused;
  world.start();
  const auto verdict = world.resolve();
  CHECK(verdict.policy == nullptr);
  REQUIRE(verdict.fault);
  CHECK(verdict.fault->reason == "address-refused");
  CHECK(world.host.requests() == 0);
  CHECK(world.logged().find("policy-fetch-failed") != std::string::npos);
}

TEST_CASE("more domains than fetches allowed at once are served one after the other") {
  World world;
  world.options.concurrent_fetches = 1;
  world.start();
  std::vector<net::Operation> operations;
  int answered = 0;
  for (const std::string domain : {"a.example", "b.example", "c.example"}) {
    operations.push_back(world.ask(domain, [&](const sts::PolicyVerdict& verdict) {
      CHECK(verdict.source == Source::fetched);
      if (++answered == 3) {
        world.loop.stop();
      }
    }));
  }
  support::run(world.loop);
  CHECK(world.host.requests() == 3);
}

TEST_CASE("a policy that takes back enforce is obeyed at once, with a warning") {
  World world;
  world.start();
  CHECK(world.resolve().source == Source::fetched);
  world.host.serve_body(body("testing"));
  world.id = "2";
  CHECK(world.resolve().policy->policy.mode == sts::Mode::testing);
  CHECK(world.logged().find("policy-weakened") != std::string::npos);
}

TEST_CASE("S17: a policy that expired unreplaced is named in a warning, once") {
  World world;
  world.start();
  CHECK(world.resolve().source == Source::fetched);
  world.clock.advance(std::chrono::hours(24));
  world.name_server.set_script([](const support::DnsAsked& asked) {
    return std::vector<std::string>{support::DnsPacket(asked.question).rcode(3).bytes()};
  });
  CHECK(world.resolve().policy == nullptr);
  CHECK(world.resolve().policy == nullptr);
  const std::string logged = world.logged();
  const auto at = logged.find("policy-lost");
  REQUIRE(at != std::string::npos);
  CHECK(logged.find("policy-lost", at + 1) == std::string::npos);
  CHECK(world.stored().empty());
}

TEST_CASE("an answer may destroy the resolver while others wait for it") {
  World world;
  world.start();
  int answered = 0;
  std::vector<net::Operation> operations;
  for (int i = 0; i < 3; ++i) {
    operations.push_back(world.ask("a.example", [&](const sts::PolicyVerdict& /*verdict*/) {
      ++answered;
      operations.clear();
      world.resolver.reset();
      world.loop.stop();
    }));
  }
  support::run(world.loop);
  CHECK(answered == 1);
}

TEST_CASE("a resolver that goes leaves no callback behind") {
  World world;
  world.options.first_contact_wait = milliseconds(1);
  world.start();
  bool called = false;
  const auto operation =
      world.ask("a.example", [&](const sts::PolicyVerdict& /*verdict*/) { called = true; });
  world.resolver.reset();
  net::Timer later(world.loop, [&] { world.loop.stop(); });
  later.start(milliseconds(20));
  support::run(world.loop);
  CHECK_FALSE(called);
}
