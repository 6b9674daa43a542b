// A policy resolver between a name server, a policy host and a spool, all on loopback.
#pragma once

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <sys/mman.h>
#include <utility>
#include <vector>

#include <doctest/doctest.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "relay/delivery/policy_resolver.h"
#include "relay/spool/spool_reader.h"
#include "tests/relay/net/certificates.h"
#include "tests/relay/net/dns_packet.h"
#include "tests/relay/net/dns_responder.h"
#include "tests/relay/net/loop_fixture.h"
#include "tests/support/manual_clock.h"

namespace policy_world {

namespace net = relay::net;
using relay::delivery::PolicyResolver;
using relay::delivery::PrivateAddresses;
using relay::delivery::StoredPolicies;
using std::chrono::milliseconds;
using Source = sts::PolicyVerdict::Source;

inline const support::Certificate& authority() {
  static const support::Certificate made = [] {
    support::CertificateRequest request;
    request.common_name = "Test authority";
    request.use = support::CertificateRequest::Use::authority;
    return support::Certificate::self_signed(request);
  }();
  return made;
}

inline std::string body(const std::string& mode) {
  return "version: STSv1\nmode: " + mode + "\nmx: mx.a.example\nmax_age: 86400\n";
}

// Serves one body for every policy host; answers wait until the gate is open.
class PolicyHost {
 public:
  PolicyHost() : context_(SSL_CTX_new(TLS_server_method()), &SSL_CTX_free) {
    support::CertificateRequest request;
    request.dns_names = {"mta-sts.a.example", "mta-sts.b.example", "mta-sts.c.example",
                         "mta-sts.d.example"};
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
  /// "500 No": what answers begin with.
  void answer_with(const std::string& status) {
    const std::scoped_lock lock(mutex_);
    status_ = status;
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
      std::string status;
      {
        const std::scoped_lock lock(mutex_);
        opened = opened_;
        text = body_;
        status = status_;
      }
      if (opened.valid()) {
        opened.wait();
      }
      const std::string answer =
          "HTTP/1.1 " + status +
          "\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(text.size()) +
          "\r\n\r\n" + text;
      SSL_write(tls.get(), answer.data(), static_cast<int>(answer.size()));
      SSL_shutdown(tls.get());
    }
    ERR_clear_error();
  }

  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::mutex mutex_;
  std::string body_ = body("enforce");
  std::string status_ = "200 OK";
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
    where.vfs = vfs;
    auto opened = relay::spool::Spool::open(where, clock);
    REQUIRE(opened);
    spool = std::move(*opened);
  }

  static net::DnsClientOptions dns_options(const net::SocketAddress& server) {
    net::DnsClientOptions made;
    made.resolvers = {server};
    made.try_timeout = std::chrono::seconds(10);  // a question asked twice would count twice
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

  PolicyResolver& start(const PolicyResolver::Policies& loaded = {}) {
    return start(StoredPolicies{loaded, {}});
  }
  PolicyResolver& start(const StoredPolicies& loaded) {
    resolver = std::make_unique<PolicyResolver>(loop, clock, dns, https, *spool, log, options,
                                                loaded, cache_capacity);
    return *resolver;
  }
  // Ends the resolver and its spool, and starts new ones with what the disk has.
  void restart() {
    const StoredPolicies loaded = on_disk();
    open_spool();
    start(loaded);
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

  // Asks as a delivery does whose hosts all failed under the policy.
  sts::PolicyVerdict recheck(const std::string& domain = "a.example") {
    std::optional<sts::PolicyVerdict> verdict;
    const auto operation =
        resolver->resolve(*net::DomainName::parse(domain), net::DnsCacheUse::bypass,
                          [&](const sts::PolicyVerdict& given) {
                            verdict = given;
                            loop.stop();
                          });
    support::run(loop);
    REQUIRE(verdict);
    return *verdict;
  }

  // Has the policy fetched on demand.
  sts::PolicyVerdict refresh(const std::string& domain = "a.example") {
    std::optional<sts::PolicyVerdict> verdict;
    resolver->refresh(*net::DomainName::parse(domain), [&](const sts::PolicyVerdict& given) {
      verdict = given;
      loop.stop();
    });
    support::run(loop);
    REQUIRE(verdict);
    return *verdict;
  }

  // Runs the loop until done() holds.
  void run_until(const std::function<bool()>& done) {
    std::function<void()> look = [&] {
      if (done()) {
        loop.stop();
      } else {
        timer->start(milliseconds(5));
      }
    };
    timer = std::make_unique<net::Timer>(loop, look);
    timer->start(milliseconds(0));
    support::run(loop);
    timer.reset();
  }

  void no_record() {
    name_server.set_script([this](const support::DnsAsked& asked) {
      if (asked.question.type == net::DnsType::txt) {
        return std::vector<std::string>{support::DnsPacket(asked.question).rcode(3).bytes()};
      }
      return answer(asked.question);
    });
  }

  net::Operation ask(const std::string& domain, PolicyResolver::Callback done) {
    return resolver->resolve(*net::DomainName::parse(domain), net::DnsCacheUse::allowed,
                             std::move(done));
  }

  // What a restart would find.
  StoredPolicies on_disk() {
    resolver.reset();
    spool.reset();
    auto reader = relay::spool::SpoolReader::open(directory.spool());
    REQUIRE(reader);
    auto policies = (*reader)->policies("", 1000);
    REQUIRE(policies);
    StoredPolicies found{std::move(*policies), {}};
    REQUIRE((*reader)->each_trouble([&](relay::spool::PolicyTrouble trouble) {
      found.troubles.push_back(std::move(trouble));
    }));
    return found;
  }
  PolicyResolver::Policies stored() { return on_disk().policies; }

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
  std::unique_ptr<net::Timer> timer;
  std::string vfs;
  std::size_t cache_capacity = 1000;
  std::unique_ptr<relay::spool::Spool> spool;
  std::unique_ptr<PolicyResolver> resolver;
};

// The last line of an event; empty: none.
inline std::string line_with(const std::string& log, const std::string& event) {
  const auto at = log.rfind("event=" + event);
  const auto start = at == std::string::npos ? at : log.rfind('\n', at) + 1;
  return at == std::string::npos ? "" : log.substr(start, log.find('\n', at) - start);
}

// A resolver whose policy of a.example was fetched and whose refresh is due after so long.
struct Aged : World {
  explicit Aged(std::chrono::milliseconds age, const std::string& mode = "enforce") {
    host.serve_body(body(mode));
    start();
    CHECK(resolve().source == Source::fetched);
    clock.advance(age);
  }
};

constexpr unsigned kTxt = static_cast<unsigned>(net::DnsType::txt);
constexpr unsigned kA = static_cast<unsigned>(net::DnsType::a);

}  // namespace policy_world
