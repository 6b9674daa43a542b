// The server side of TLS: handshakes with real clients, what clients prove, and files that cannot
// be used.
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <doctest/doctest.h>
#include <openssl/pem.h>

#include "tests/relay/net/tls_server_fixture.h"

namespace {

using relay::net::AskForCertificate;
using relay::net::EventLoop;
using relay::net::TlsServerContext;
using relay::net::TlsServerFault;
using relay::net::TlsServerOptions;
using relay::net::TlsServerVersion;
using relay::net::TlsStart;
using support::Certificate;
using support::CertificateRequest;
using support::kHost;
using support::meet;
using support::new_authority;
using support::options_for;
using support::PeerSocket;
using support::TemporaryFile;
using support::TlsListener;
using support::trusting;

using ContextPointer = std::shared_ptr<TlsServerContext>;

ContextPointer serving(const Certificate& certificate, TlsServerOptions options = {}) {
  const TemporaryFile file(certificate.pem() + certificate.key_pem());
  options.certificate_file = file.path();
  auto context = TlsServerContext::create(options);
  REQUIRE(context.has_value());
  return *context;
}

/// A blocking client without TLS.
PeerSocket plain_client(const TlsListener& listener) {
  const auto address = listener.address();
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::connect(fd, address.get(), address.length()) == 0);
  return PeerSocket(fd);
}

std::string failure(const TlsListener& listener) {
  REQUIRE(listener.outcome);
  REQUIRE_FALSE(listener.outcome->has_value());
  return listener.outcome->error().reason;
}

std::string encrypted_key(const Certificate& certificate) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> memory(BIO_new(BIO_s_mem()), &BIO_free);
  REQUIRE(PEM_write_bio_PrivateKey(memory.get(), certificate.key(), EVP_aes_256_cbc(),
                                   reinterpret_cast<const unsigned char*>("secret"), 6, nullptr,
                                   nullptr) == 1);
  char* data = nullptr;
  const long size = BIO_ctrl(memory.get(), BIO_CTRL_INFO, 0, &data);
  return {data, static_cast<std::size_t>(size)};
}

TEST_CASE("a client and the server agree on a TLS session, after a reply or at once") {
  const auto authority = new_authority();
  const auto server = serving(authority.issue({.dns_names = {kHost}}));
  const auto client = trusting(authority);
  for (const auto start : {TlsStart::at_once, TlsStart::after_reply}) {
    CAPTURE(start == TlsStart::at_once);
    const auto meeting = meet(*server, *client, options_for(kHost), start);
    CHECK(support::text_of(meeting.client) == "verified");
    REQUIRE(meeting.server.has_value());
    CHECK(meeting.server->version == "TLSv1.3");
    CHECK(meeting.server->cipher == support::parameters_of(meeting.client).cipher);
    CHECK_FALSE(meeting.server->certificate);
  }
}

TEST_CASE("no session is resumed: each proves its certificates anew") {
  const auto authority = new_authority();
  const auto server = serving(authority.issue({.dns_names = {kHost}}));
  const auto client = trusting(authority);
  relay::net::TlsSessionCache cache(10);
  const auto options = options_for(kHost, relay::net::TlsFloor::tls12, &cache);
  CHECK_FALSE(support::parameters_of(meet(*server, *client, options).client).resumed);
  CHECK_FALSE(support::parameters_of(meet(*server, *client, options).client).resumed);
}

TEST_CASE("the oldest version is the one that was asked for") {
  const auto authority = new_authority();
  const auto leaf = authority.issue({.dns_names = {kHost}});
  struct Row {
    TlsServerVersion minimum;
    int newest_of_client;
    const char* result;
  };
  for (const auto& row : {Row{TlsServerVersion::tls12, TLS1_2_VERSION, "TLSv1.2"},
                          Row{TlsServerVersion::tls13, TLS1_3_VERSION, "TLSv1.3"},
                          Row{TlsServerVersion::tls13, TLS1_2_VERSION, "no-shared-version"},
                          Row{TlsServerVersion::tls12, TLS1_1_VERSION, "no-shared-version"}}) {
    CAPTURE(row.result);
    TlsServerOptions options;
    options.minimum_version = row.minimum;
    const auto server = serving(leaf, options);
    const auto client = trusting(authority);
    SSL_CTX_set_max_proto_version(client->get(), row.newest_of_client);
    const auto meeting = meet(*server, *client, options_for(kHost));
    CHECK((meeting.server ? meeting.server->version : meeting.server.error().reason) == row.result);
  }
}

TEST_CASE("what the client sent before it saw the reply is never taken for TLS nor delivered") {
  const auto authority = new_authority();
  const auto server = serving(authority.issue({.dns_names = {kHost}}));
  EventLoop loop;
  {
    TlsListener listener(loop, *server, TlsStart::after_reply);
    PeerSocket client = plain_client(listener);
    listener.before_reply = [&client] { client.send("MAIL FROM:<a@b.example>\r\n"); };
    client.send("STARTTLS\r\n");
    support::run(loop);
    CHECK(failure(listener) == "starttls-injection");
    CHECK(listener.observer.received.empty());
  }
  support::settle(loop);
}

TEST_CASE("a handshake with a client that does not complete it says why") {
  const auto authority = new_authority();
  const auto server = serving(authority.issue({.dns_names = {kHost}}));
  EventLoop loop;
  SUBCASE("it speaks plaintext") {
    TlsListener listener(loop, *server, TlsStart::at_once);
    PeerSocket client = plain_client(listener);
    client.send("EHLO client.example\r\n");
    support::run(loop);
    CHECK(failure(listener) == "tls-wrong-version-number");
  }
  SUBCASE("it goes away") {
    TlsListener listener(loop, *server, TlsStart::at_once);
    plain_client(listener).close();
    support::run(loop);
    CHECK(failure(listener) == "handshake-eof");
  }
  SUBCASE("it says nothing") {
    TlsListener listener(loop, *server, TlsStart::at_once, std::chrono::milliseconds(20));
    const PeerSocket client = plain_client(listener);
    support::run(loop);
    CHECK(failure(listener) == "handshake-timeout");
  }
  SUBCASE("it says nothing after it was told to go ahead") {
    TlsListener listener(loop, *server, TlsStart::after_reply, std::chrono::milliseconds(20));
    PeerSocket client = plain_client(listener);
    client.send("STARTTLS\r\n");
    support::run(loop);
    CHECK(failure(listener) == "handshake-timeout");
    listener.connection.reset();
    support::settle(loop);
    CHECK(client.read_to_end() == "220 go ahead\r\n");
  }
  SUBCASE("it does not trust our certificate") {
    const auto client = trusting(new_authority());
    SSL_CTX_set_verify(client->get(), SSL_VERIFY_PEER, nullptr);
    const auto meeting = meet(*server, *client, options_for(kHost));
    REQUIRE_FALSE(meeting.server.has_value());
    CHECK(meeting.server.error().reason == "tls-alert-48");  // unknown_ca
  }
  support::settle(loop);
}

TEST_CASE("a client's certificate shows its print, and names only if the authority vouches") {
  const auto authority = new_authority();
  const auto stranger = new_authority();
  const auto server_leaf = authority.issue({.dns_names = {kHost}});
  const CertificateRequest good{.dns_names = {"Host.Example.Com", "b.example"},
                                .use = CertificateRequest::Use::client};
  auto expired = good;
  expired.valid_until = -std::chrono::minutes(1);
  auto for_servers = good;
  for_servers.use = CertificateRequest::Use::server;
  using Names = std::vector<std::string>;
  struct Row {
    const char* what;
    AskForCertificate ask;
    bool with_ca;
    std::optional<Certificate> shown;
    std::optional<Names> names;  // nullopt: no certificate seen
  };
  const std::vector<Row> rows{
      {"good", AskForCertificate::yes, true, authority.issue(good),
       Names{"host.example.com", "b.example"}},
      {"no authority", AskForCertificate::yes, false, authority.issue(good), Names{}},
      {"a stranger's", AskForCertificate::yes, true, stranger.issue(good), Names{}},
      {"its own", AskForCertificate::yes, true, Certificate::self_signed(good), Names{}},
      {"expired", AskForCertificate::yes, true, authority.issue(expired), Names{}},
      {"for servers only", AskForCertificate::yes, true, authority.issue(for_servers), Names{}},
      {"none", AskForCertificate::yes, true, std::nullopt, std::nullopt},
      {"not asked", AskForCertificate::no, false, authority.issue(good), std::nullopt},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    const TemporaryFile ca(authority.pem());
    TlsServerOptions options;
    options.client_certificate = row.ask;
    options.client_ca_file = row.with_ca ? ca.path() : "";
    const auto server = serving(server_leaf, options);
    const auto client = trusting(authority);
    if (row.shown) {
      REQUIRE(SSL_CTX_use_certificate(client->get(), row.shown->get()) == 1);
      REQUIRE(SSL_CTX_use_PrivateKey(client->get(), row.shown->key()) == 1);
    }
    const auto meeting = meet(*server, *client, options_for(kHost));
    REQUIRE(meeting.server.has_value());
    REQUIRE(meeting.server->certificate.has_value() == row.names.has_value());
    if (row.names) {
      CHECK(meeting.server->certificate->names == *row.names);
      CHECK(meeting.server->certificate->sha256.size() == 64);
    }
  }
}

TEST_CASE("a file that cannot be used is named with the reason") {
  using Part = TlsServerFault::Part;
  const auto authority = new_authority();
  const auto leaf = authority.issue({.dns_names = {kHost}});
  const TemporaryFile certificate(leaf.pem());
  const TemporaryFile key(leaf.key_pem());
  const TemporaryFile other_key(authority.key_pem());
  const TemporaryFile locked(encrypted_key(leaf));
  const TemporaryFile junk("no PEM");
  const std::string folder = std::filesystem::temp_directory_path().string();
  struct Row {
    std::string certificate, key, client_ca;
    Part part;
    std::string reason;
  };
  const std::vector<Row> rows{
      {"/nonexistent/c.pem", key.path(), "", Part::certificate,
       "/nonexistent/c.pem cannot be read: No such file or directory"},
      {folder, key.path(), "", Part::certificate, folder + " cannot be read: Is a directory"},
      {junk.path(), key.path(), "", Part::certificate,
       junk.path() + " holds no certificate in PEM form that can be used"},
      {key.path(), key.path(), "", Part::certificate,
       key.path() + " holds no certificate in PEM form that can be used"},
      {certificate.path(), "", "", Part::certificate,
       certificate.path() + " holds no private key in PEM form that can be used"},
      {certificate.path(), "/nonexistent/k.pem", "", Part::key,
       "/nonexistent/k.pem cannot be read: No such file or directory"},
      {certificate.path(), junk.path(), "", Part::key,
       junk.path() + " holds no private key in PEM form that can be used"},
      {certificate.path(), other_key.path(), "", Part::key,
       other_key.path() + " holds the key of another certificate than " + certificate.path()},
      {certificate.path(), locked.path(), "", Part::key,
       locked.path() + " is protected by a password; store the key without one"},
      {certificate.path(), key.path(), junk.path(), Part::client_ca,
       junk.path() + " holds no CA certificates in PEM form"},
      {certificate.path(), key.path(), "/nonexistent/ca.pem", Part::client_ca,
       "/nonexistent/ca.pem cannot be read: No such file or directory"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.reason);
    TlsServerOptions options;
    options.certificate_file = row.certificate;
    options.key_file = row.key;
    options.client_ca_file = row.client_ca;
    const auto context = TlsServerContext::create(options);
    REQUIRE_FALSE(context.has_value());
    CHECK(context.error().part == row.part);
    CHECK(context.error().reason.substr(0, row.reason.size()) == row.reason);
  }
  TlsServerOptions good;
  good.certificate_file = certificate.path();
  good.key_file = key.path();
  CHECK(TlsServerContext::create(good).has_value());
}

}  // namespace
