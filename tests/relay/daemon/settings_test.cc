#include "relay/settings.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include <doctest/doctest.h>

namespace {

using relay::net::SocketAddress;

/// A file of the name "relay.yaml" in a folder of its own; gone with this object.
class File {
 public:
  File() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "stsrelay-test-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
  }
  ~File() { std::filesystem::remove_all(folder_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  [[nodiscard]] std::string path() const { return (folder_ / "relay.yaml").string(); }
  void write(const std::string& text) const { std::ofstream(path()) << text; }
  [[nodiscard]] std::vector<std::string> errors() const {
    const auto config = relay::load_config(path());
    return config ? std::vector<std::string>{} : config.error();
  }

 private:
  std::filesystem::path folder_;
};

TEST_CASE("a configuration that cannot be read is an error, not an empty text") {
  const File file;
  CHECK(file.errors() ==
        std::vector{file.path() + ": cannot be read: No such file or directory; name the file "
                                  "with --config"});
  std::filesystem::create_directory(file.path());
  CHECK(file.errors() ==
        std::vector{file.path() + ": cannot be read: Is a directory; name the file with --config"});
}

TEST_CASE("a configuration is read whole, and its errors name the file") {
  const File file;
  file.write("hostname: relay.test\n#" + std::string(200'000, 'x') + "\nbogus: 1\n");
  const auto errors = file.errors();
  REQUIRE(errors.size() == 1);
  CHECK(errors[0].find(file.path() + ":3: bogus: ") == 0);
  file.write("hostname: relay.test\n#" + std::string(200'000, 'x') + "\nworkers: 3\n");
  const auto config = relay::load_config(file.path());
  REQUIRE(config);
  CHECK(config->workers == 3);
}

TEST_CASE("the AD bit counts from loopback but not from a container engine's stub") {
  struct Row {
    const char* yaml;
    std::vector<std::string> trusted;
  };
  const std::vector<Row> rows{
      {"dns: {resolvers: [127.0.0.1, \"[::1]\", 127.0.0.53, 127.0.0.11, 192.0.2.1]}",
       {"127.0.0.1", "::1", "127.0.0.53"}},
      {"dns: {resolvers: [127.0.0.11, \"[::ffff:127.0.0.11]\"]}", {}},
      {"dns: {resolvers: [127.0.0.1, 192.0.2.1], trust_ad: [192.0.2.1]}", {"192.0.2.1"}},
      {"dns: {resolvers: [127.0.0.11], trust_ad: [127.0.0.11]}", {"127.0.0.11"}},
      {"dns: {resolvers: [127.0.0.1]}\ntest_world: {resolvers: [127.0.0.7:53, 10.0.0.1]}",
       {"127.0.0.7"}},
  };
  for (const Row& row : rows) {
    CAPTURE(row.yaml);
    const auto config = conf::parse(row.yaml);
    REQUIRE(config);
    std::vector<std::string> trusted;
    const auto options = relay::dns_options(*config);
    REQUIRE(options);
    for (const SocketAddress& address : options->trust_ad) {
      trusted.push_back(address.ip());
    }
    CHECK(trusted == row.trusted);
  }
}

TEST_CASE("dns.dnssec: validate needs a trust anchor that can be read, or the start is refused") {
  auto config = conf::parse("dns: {dnssec: validate, trust_anchor: /nonexistent/root.key}").value();
  const auto refused = relay::dns_options(config);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().find("/nonexistent/root.key cannot be read") != std::string::npos);
  CHECK(refused.error().find("dns-root-data") != std::string::npos);
  config.dns.trust_anchor = "/usr/share/dns/root.key";
  const auto options = relay::dns_options(config);
  REQUIRE(options);
  CHECK(options->dnssec == relay::net::DnssecMode::validate);
  CHECK(options->anchors->zone_for("example.net") == ".");
}

TEST_CASE("keys that sign reports are loaded, or the start is refused with the file's name") {
  const File file;
  conf::Config config;
  config.reports.contact = "tls@a.example";
  config.reports.dkim = {{"", "one", file.path()}, {"b.example", "two", file.path()}};
  auto settings = relay::report_settings(config);
  REQUIRE_FALSE(settings);
  CHECK(settings.error().find("reports.dkim: " + file.path() + " cannot be read: No such file") ==
        0);
  file.write("no key");
  settings = relay::report_settings(config);
  REQUIRE_FALSE(settings);
  CHECK(settings.error().find("reports.dkim: " + file.path() + ": ") == 0);
  file.write(relay::message::DkimKey::generate(relay::message::DkimKey::Kind::ed25519).pem());
  settings = relay::report_settings(config);
  REQUIRE(settings);
  REQUIRE((*settings)->signers.size() == 2);
  CHECK((*settings)->signers[0].domain == "a.example");
  CHECK((*settings)->signers[0].selector == "one");
  CHECK((*settings)->signers[1].domain == "b.example");
}

TEST_CASE("without reports no key is asked for") {
  conf::Config config;
  config.reports.dkim = {{"", "one", "/nowhere"}};
  const auto settings = relay::report_settings(config);
  REQUIRE(settings);
  CHECK((*settings)->signers.empty());
}

TEST_CASE("a listener on every address is reachable at each interface's, with its port") {
  const auto wildcard = *SocketAddress::from_ip("0.0.0.0", 2525);
  const auto own = *SocketAddress::from_ip("192.0.2.7", 25);
  const auto reachable = relay::reachable_at({own, wildcard});
  REQUIRE(reachable.size() >= 2);
  CHECK(reachable[0] == own);
  const auto loopback = *SocketAddress::from_ip("127.0.0.1", 2525);
  CHECK(std::find(reachable.begin(), reachable.end(), loopback) != reachable.end());
  CHECK(std::all_of(reachable.begin() + 1, reachable.end(), [](const SocketAddress& address) {
    return address.family() == relay::net::IpFamily::v4 && address.port() == 2525 &&
           address.ip() != "0.0.0.0";
  }));
  CHECK(relay::reachable_at({}).empty());
}

TEST_CASE("revocation is checked by staples unless it is turned off") {
  const auto revocation = [](const char* yaml) {
    return relay::worker_settings(*conf::parse(yaml), {},
                                  std::make_shared<const relay::delivery::LocalRules>(), {})
        ->revocation;
  };
  CHECK(revocation("") == relay::net::Revocation::stapled);
  CHECK(revocation("tls_policy: {revocation: off}") == relay::net::Revocation::off);
}

TEST_CASE("workers are as many as configured, or one per core and at least one") {
  CHECK(relay::worker_count(*conf::parse("workers: 3")) == 3);
  CHECK(relay::worker_count(*conf::parse("")) >= 1);
}

}  // namespace
