#include <array>
#include <future>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <doctest/doctest.h>
#include <yaml-cpp/yaml.h>

#include "relay/net/connection.h"
#include "relay/net/tls_client.h"
#include "tests/relay/net/tls_fixture.h"

namespace {

using relay::net::CertificateFault;
using relay::net::CertificateFaultKind;
using relay::net::Connection;
using relay::net::DomainName;
using relay::net::EventLoop;
using relay::net::ResumableSession;
using relay::net::TlsClientContext;
using relay::net::TlsClientOptions;
using relay::net::TlsFailed;
using relay::net::TlsFloor;
using relay::net::TlsOutcome;
using relay::net::TlsParameters;
using relay::net::TlsSessionCache;
using relay::net::TlsUnverified;
using relay::net::TlsVerified;
using relay::net::WallTime;
using std::chrono::milliseconds;
using std::chrono::seconds;
using support::Certificate;
using support::CertificateRequest;
using support::PeerServer;
using support::PeerSocket;
using support::Recorder;
using support::TemporaryFile;
using support::TlsServer;
using Use = CertificateRequest::Use;
using Faults = std::vector<CertificateFault>;

constexpr const char* kHost = "mx.example.com";

Certificate new_authority() {
  return Certificate::self_signed({.common_name = "Test CA", .use = Use::authority});
}

std::shared_ptr<TlsClientContext> trusting(const Certificate& authority) {
  const TemporaryFile file(authority.pem());
  auto context = TlsClientContext::create(file.path());
  REQUIRE(context.has_value());
  return *context;
}

TlsClientOptions options_for(const char* host, TlsFloor floor = TlsFloor::any,
                             TlsSessionCache* sessions = nullptr) {
  return {*DomainName::parse(host), floor, sessions, "key"};
}

/// One line for comparison: "verified", "unverified <kind> <code>, …", "failed <reason>".
std::string text_of(const TlsOutcome& outcome) {
  if (const auto* failed = std::get_if<TlsFailed>(&outcome)) {
    return "failed " + failed->reason;
  }
  const auto* unverified = std::get_if<TlsUnverified>(&outcome);
  if (unverified == nullptr) {
    return std::holds_alternative<TlsVerified>(outcome) ? "verified" : "not offered";
  }
  std::string text = "unverified";
  for (const auto& fault : unverified->faults) {
    switch (fault.kind) {
      case CertificateFaultKind::host_mismatch:
        text += " mismatch:";
        break;
      case CertificateFaultKind::expired:
        text += " expired:";
        break;
      case CertificateFaultKind::not_trusted:
        text += " untrusted:";
        break;
    }
    text += fault.code.starts_with("X509_V_ERR_") ? fault.code.substr(11) : fault.code;
  }
  return text;
}

TlsParameters parameters_of(const TlsOutcome& outcome) {
  if (const auto* unverified = std::get_if<TlsUnverified>(&outcome)) {
    return unverified->parameters;
  }
  REQUIRE(std::holds_alternative<TlsVerified>(outcome));
  return std::get<TlsVerified>(outcome).parameters;
}

/// Connects, shakes hands and, unless that failed, has one echo answered.
TlsOutcome shake_hands(const relay::net::SocketAddress& address, TlsClientContext& context,
                       const TlsClientOptions& options, milliseconds timeout = seconds(20)) {
  EventLoop loop;
  Recorder observer;
  auto connection = support::open_connection(loop, address);
  connection->set_observer(&observer);
  observer.bytes_arrived = observer.stream_closed = [&] { loop.stop(); };
  TlsOutcome result;
  bool returned = false;
  connection->start_tls(context, options, timeout, [&](TlsOutcome outcome) {
    CHECK(returned);
    result = std::move(outcome);
    if (std::holds_alternative<TlsFailed>(result)) {
      loop.stop();
    } else {
      connection->write("ping");
    }
  });
  returned = true;
  support::run(loop);
  CHECK(observer.received == (std::holds_alternative<TlsFailed>(result) ? "" : "ping"));
  connection.reset();
  support::settle(loop);
  return result;
}

TEST_CASE("a chain to a trusted authority that names the host is verified") {
  const auto authority = new_authority();
  const TlsServer server(authority.issue({.dns_names = {kHost}}), {});
  const auto outcome = shake_hands(server.address(), *trusting(authority), options_for(kHost));
  CHECK(text_of(outcome) == "verified");
  CHECK(parameters_of(outcome).version == "TLSv1.3");
  CHECK(parameters_of(outcome).cipher == "TLS_AES_256_GCM_SHA384");
  CHECK_FALSE(parameters_of(outcome).resumed);
  CHECK(server.last_name() == kHost);
}

TEST_CASE("certificate names: the measured rows of OpenSSL with hardened flags") {
  struct Names {
    std::vector<std::string> dns;
    std::vector<std::string> emails;
    std::string common_name;
  };
  const std::map<std::string, Names> names = {
      {"N01", {{"*.example.com"}, {}, ""}},
      {"N03", {{"*.example.com"}, {}, ""}},
      {"N04", {{"mx.example.com"}, {}, ""}},
      {"N06", {{}, {}, "mx.example.com"}},
      {"N07", {{}, {"postmaster@example.com"}, "mx.example.com"}},
      {"N09", {{"m*.example.com"}, {}, ""}},
      {"N10", {{"*x.example.com"}, {}, ""}},
      {"N12", {{"*.*.example.com"}, {}, ""}},
      {"N13", {{"*.com"}, {}, ""}},
      {"N15", {{"a.b.example.com"}, {}, ""}},
      {"N16", {{"*.example.com"}, {}, ""}},
      {"N18", {{"*.foo.example"}, {}, ""}},
      {"N19", {{"xn--*.foo.example"}, {}, ""}},
      {"N21", {{"192.0.2.1"}, {}, ""}},
      {"N22", {{"mx.example.com."}, {}, ""}},
      {"N24", {{"*.example.com"}, {}, ""}},
  };
  const auto authority = new_authority();
  const auto context = trusting(authority);
  const auto rows = YAML::LoadFile(STSRELAY_TEST_DATA "/sts-vectors.yaml")["openssl_names"];
  CHECK(rows.size() == names.size());
  for (const auto& row : rows) {
    const auto id = row["id"].as<std::string>();
    CAPTURE(id);
    const auto reference = DomainName::parse(row["reference"].as<std::string>());
    if (id == "N15" || id == "N16" || id == "N21") {
      // OpenSSL would match these; they never become a reference name.
      CHECK_FALSE(reference);
      continue;
    }
    REQUIRE(reference);
    const auto& given = names.at(id);
    const TlsServer server(
        authority.issue(
            {.common_name = given.common_name, .dns_names = given.dns, .emails = given.emails}),
        {});
    const auto outcome =
        shake_hands(server.address(), *context, {*reference, TlsFloor::tls12, nullptr, ""});
    CHECK(text_of(outcome) ==
          (row["hardened"].as<bool>() ? "verified" : "unverified mismatch:HOSTNAME_MISMATCH"));
  }
}

TEST_CASE("every fault of a certificate is reported, each once, and the handshake completes") {
  using std::chrono::hours;
  struct Row {
    const char* name;
    CertificateRequest request;
    bool own_signature;
    bool known_authority;
    const char* expected;
  };
  const CertificateRequest good{.dns_names = {kHost}};
  const CertificateRequest other{.dns_names = {"other.example.com"}};
  const CertificateRequest old{
      .dns_names = {kHost}, .valid_from = -hours(9), .valid_until = -hours(1)};
  const CertificateRequest old_other{
      .dns_names = {"other.example.com"}, .valid_from = -hours(9), .valid_until = -hours(1)};
  const std::vector<Row> rows = {
      {"another name", other, false, true, "unverified mismatch:HOSTNAME_MISMATCH"},
      {"expired", old, false, true, "unverified expired:CERT_HAS_EXPIRED"},
      {"not yet valid",
       {.dns_names = {kHost}, .valid_from = hours(1)},
       false,
       true,
       "unverified untrusted:CERT_NOT_YET_VALID"},
      {"expired and another name", old_other, false, true,
       "unverified mismatch:HOSTNAME_MISMATCH expired:CERT_HAS_EXPIRED"},
      {"self-signed", good, true, true, "unverified untrusted:DEPTH_ZERO_SELF_SIGNED_CERT"},
      {"self-signed, another name", other, true, true,
       "unverified untrusted:DEPTH_ZERO_SELF_SIGNED_CERT mismatch:HOSTNAME_MISMATCH"},
      {"unknown authority", good, false, false,
       "unverified untrusted:UNABLE_TO_GET_ISSUER_CERT_LOCALLY"},
      {"all at once", old_other, false, false,
       "unverified untrusted:UNABLE_TO_GET_ISSUER_CERT_LOCALLY mismatch:HOSTNAME_MISMATCH "
       "expired:CERT_HAS_EXPIRED"},
      {"for clients only",
       {.dns_names = {kHost}, .use = Use::client},
       false,
       true,
       "unverified untrusted:INVALID_PURPOSE"},
  };
  const auto authority = new_authority();
  for (const auto& row : rows) {
    CAPTURE(row.name);
    const TlsServer server(
        row.own_signature ? Certificate::self_signed(row.request) : authority.issue(row.request),
        {});
    const auto context = trusting(row.known_authority ? authority : new_authority());
    CHECK(text_of(shake_hands(server.address(), *context, options_for(kHost))) == row.expected);
  }
}

TEST_CASE("faults above the leaf carry their depth") {
  using std::chrono::hours;
  const auto root = new_authority();
  const auto expired = root.issue({.common_name = "Old",
                                   .use = Use::authority,
                                   .valid_from = -hours(9),
                                   .valid_until = -hours(1)});
  const TlsServer server(expired.issue({.dns_names = {kHost}}), {.intermediates = {expired}});
  CHECK(text_of(shake_hands(server.address(), *trusting(root), options_for(kHost))) ==
        "unverified expired:CERT_HAS_EXPIRED@depth1");
  // The root that the server sends along is not in the trust store.
  const TlsServer with_root(root.issue({.dns_names = {kHost}}), {.intermediates = {root}});
  CHECK(text_of(shake_hands(with_root.address(), *trusting(new_authority()), options_for(kHost))) ==
        "unverified untrusted:SELF_SIGNED_CERT_IN_CHAIN@depth1");
}

TEST_CASE("a missing intermediate is one fault") {
  const auto root = new_authority();
  const auto intermediate = root.issue({.common_name = "Sub", .use = Use::authority});
  const auto leaf = intermediate.issue({.dns_names = {kHost}});
  const auto context = trusting(root);
  const TlsServer complete(leaf, {.intermediates = {intermediate}});
  CHECK(text_of(shake_hands(complete.address(), *context, options_for(kHost))) == "verified");
  const TlsServer incomplete(leaf, {});
  CHECK(text_of(shake_hands(incomplete.address(), *context, options_for(kHost))) ==
        "unverified untrusted:UNABLE_TO_GET_ISSUER_CERT_LOCALLY");
}

TEST_CASE("a target without a name gets no SNI and is never verified") {
  const auto authority = new_authority();
  const TlsServer server(authority.issue({.dns_names = {kHost}}), {});
  const auto outcome = shake_hands(server.address(), *trusting(authority),
                                   {std::nullopt, TlsFloor::any, nullptr, ""});
  CHECK(text_of(outcome) == "unverified untrusted:no-reference-name");
  CHECK(server.last_name().empty());
}

TEST_CASE("the floor decides how old a protocol may be") {
  const auto authority = new_authority();
  const auto context = trusting(authority);
  const auto leaf = authority.issue({.dns_names = {kHost}});
  const TlsServer tls12(leaf, {.newest_version = TLS1_2_VERSION});
  const auto modern = shake_hands(tls12.address(), *context, options_for(kHost, TlsFloor::tls12));
  CHECK(text_of(modern) == "verified");
  CHECK(parameters_of(modern).version == "TLSv1.2");
  const TlsServer tls11(leaf, {.newest_version = TLS1_1_VERSION});
  CHECK(text_of(shake_hands(tls11.address(), *context, options_for(kHost, TlsFloor::tls12))) ==
        "failed tls-alert-70");
  const auto old = shake_hands(tls11.address(), *context, options_for(kHost, TlsFloor::any));
  CHECK(text_of(old) == "verified");
  CHECK(parameters_of(old).version == "TLSv1.1");
}

TEST_CASE("a handshake that does not complete says why") {
  const auto authority = new_authority();
  const auto context = trusting(authority);
  const auto failure = [&](const PeerServer& server, milliseconds timeout) {
    return text_of(
        shake_hands(server.address(), *context, options_for(kHost, TlsFloor::tls12), timeout));
  };
  SUBCASE("no cipher in common: the server's alert") {
    const TlsServer server(authority.issue({.dns_names = {kHost}}),
                           {.newest_version = TLS1_2_VERSION, .ciphers = "ECDHE-RSA-AES128-SHA"});
    CHECK(text_of(shake_hands(server.address(), *context, options_for(kHost))) ==
          "failed tls-alert-40");
  }
  SUBCASE("end of stream after our hello") {
    const PeerServer server([](PeerSocket& socket) { socket.read_some(); });
    CHECK(failure(server, seconds(20)) == "failed handshake-eof");
  }
  SUBCASE("reset after our hello") {
    const PeerServer server([](PeerSocket& socket) {
      socket.read_some();
      const linger at_once{1, 0};
      ::setsockopt(socket.fd(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    });
    CHECK(failure(server, seconds(20)) == "failed handshake-eof");
  }
  SUBCASE("silence") {
    const PeerServer server([](PeerSocket& socket) { socket.read_to_end(); });
    CHECK(failure(server, milliseconds(20)) == "failed handshake-timeout");
  }
  SUBCASE("plaintext instead of TLS") {
    const PeerServer server([](PeerSocket& socket) {
      socket.read_some();
      socket.send("454 TLS not available\r\n");
      socket.read_to_end();
    });
    CHECK(failure(server, seconds(20)) == "failed tls-wrong-version-number");
  }
  SUBCASE("a server hello below the floor") {
    const PeerServer server([](PeerSocket& socket) {
      socket.read_some();
      const std::string hello = std::string("\x02\x00\x00\x26\x03\x01", 6) + std::string(32, 'r') +
                                std::string("\x00\x00\x2f\x00", 4);
      socket.send(std::string("\x16\x03\x01\x00\x2a", 5) + hello);
      socket.read_to_end();
    });
    CHECK(failure(server, seconds(20)) == "failed no-shared-version");
  }
  SUBCASE("a server hello with a cipher we did not offer") {
    const PeerServer server([](PeerSocket& socket) {
      socket.read_some();
      const std::string hello = std::string("\x02\x00\x00\x26\x03\x03", 6) + std::string(32, 'r') +
                                std::string("\x00\x00\x05\x00", 4);  // RC4
      socket.send(std::string("\x16\x03\x03\x00\x2a", 5) + hello);
      socket.read_to_end();
    });
    CHECK(failure(server, seconds(20)) == "failed no-shared-cipher");
  }
}

TEST_CASE("starttls-injection: plaintext behind the 220 fails the session before any handshake") {
  EventLoop loop;
  const auto context = trusting(new_authority());
  std::string written = "220 go ahead\r\n";
  bool in_kernel = false;
  SUBCASE("received and not yet delivered") {
    written += std::string(60000, 'x');
  }
  SUBCASE("waiting in the kernel") {
    in_kernel = true;
  }
  PeerServer server([&](PeerSocket& socket) {
    socket.send(written);
    loop.post([&loop] { loop.stop(); });
    CHECK(socket.read_to_end().empty());
  });
  Recorder observer;
  auto connection = support::open_connection(loop, server.address());
  connection->set_observer(&observer);
  std::string result;
  const auto start = [&] {
    connection->start_tls(*context, options_for(kHost), seconds(20), [&](TlsOutcome outcome) {
      result = text_of(outcome);
      loop.stop();
    });
    CHECK(result.empty());
  };
  if (in_kernel) {
    connection->pause_reading();
    support::run(loop);
    start();
  } else {
    connection->pause_reading();
    support::run(loop);  // until all was sent
    connection->resume_reading();
    observer.bytes_arrived = [&, started = false]() mutable {
      CHECK_FALSE(std::exchange(started, true));
      start();
    };
  }
  support::run(loop);
  CHECK(result == "failed starttls-injection");
  connection->write("never sent");
  connection.reset();
  support::settle(loop);
  CHECK_FALSE(observer.closed);
}

TEST_CASE("STARTTLS may follow at once from on_bytes, and plain and TLS bytes stay apart") {
  EventLoop loop;
  const auto authority = new_authority();
  const auto leaf = authority.issue({.dns_names = {kHost}});
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> server_context(
      SSL_CTX_new(TLS_server_method()), &SSL_CTX_free);
  REQUIRE(SSL_CTX_use_certificate(server_context.get(), leaf.get()) == 1);
  REQUIRE(SSL_CTX_use_PrivateKey(server_context.get(), leaf.key()) == 1);
  std::promise<std::string> end;
  PeerServer server([&](PeerSocket& socket) {
    socket.send("220 mx.example.com ESMTP\r\n");
    if (socket.read_some() != "STARTTLS\r\n") {
      return;
    }
    socket.send("220 go ahead\r\n");
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(server_context.get()), &SSL_free);
    SSL_set_fd(ssl.get(), socket.fd());
    std::array<char, 100> buffer{};
    if (SSL_accept(ssl.get()) != 1 || SSL_read(ssl.get(), buffer.data(), 100) != 6) {
      return;
    }
    SSL_write(ssl.get(), "250 hello\r\n", 11);
    // The client's close_notify, not a mere end of the stream.
    const int read = SSL_read(ssl.get(), buffer.data(), 100);
    end.set_value(SSL_get_error(ssl.get(), read) == SSL_ERROR_ZERO_RETURN ? "close_notify" : "cut");
    loop.post([&loop] { loop.stop(); });
  });
  const auto context = trusting(authority);
  Recorder observer;
  auto connection = support::open_connection(loop, server.address());
  connection->set_observer(&observer);
  observer.bytes_arrived = [&] {
    if (observer.received.ends_with("ESMTP\r\n")) {
      connection->write("STARTTLS\r\n");
    } else if (observer.received.ends_with("ahead\r\n")) {
      connection->start_tls(*context, options_for(kHost), seconds(20), [&](TlsOutcome outcome) {
        CHECK(text_of(outcome) == "verified");
        connection->write("EHLO\r\n");
      });
    } else {
      Connection::close_gracefully(std::move(connection));
    }
  };
  support::run(loop);
  CHECK(observer.received == "220 mx.example.com ESMTP\r\n220 go ahead\r\n250 hello\r\n");
  CHECK(end.get_future().get() == "close_notify");
  support::settle(loop);
}

TEST_CASE("large data crosses a TLS stream unharmed, with pauses") {
  EventLoop loop;
  const auto authority = new_authority();
  const TlsServer server(authority.issue({.dns_names = {kHost}}), {});
  const auto context = trusting(authority);
  std::string sent;
  for (int i = 0; sent.size() < (std::size_t{1} << 20U); ++i) {
    sent += std::to_string(i) + "\r\n";
  }
  Recorder observer;
  auto connection = support::open_connection(loop, server.address());
  connection->set_observer(&observer);
  int events = 0;
  observer.bytes_arrived = [&] {
    if (observer.received.size() >= sent.size()) {
      loop.stop();
    } else if (++events % 7 == 0) {
      connection->pause_reading();
      loop.post([&] { connection->resume_reading(); });
    }
  };
  connection->start_tls(*context, options_for(kHost), seconds(20),
                        [&](TlsOutcome) { connection->write(sent); });
  support::run(loop);
  CHECK(observer.received == sent);
  CHECK(observer.drained == 1);
  connection.reset();
  support::settle(loop);
}

TEST_CASE("a connection destroyed in mid-handshake never calls back") {
  EventLoop loop;
  const auto authority = new_authority();
  const auto context = trusting(authority);
  bool called = false;
  std::unique_ptr<Connection> connection;
  const auto begin = [&](const relay::net::SocketAddress& address) {
    connection = support::open_connection(loop, address);
    connection->start_tls(*context, options_for(kHost), milliseconds(1),
                          [&](TlsOutcome) { called = true; });
  };
  SUBCASE("before it began") {
    const TlsServer server(authority.issue({.dns_names = {kHost}}), {});
    begin(server.address());
    connection.reset();
    support::settle(loop);
  }
  SUBCASE("with the hello sent and the deadline past") {
    PeerServer server([&](PeerSocket& socket) {
      socket.read_some();
      loop.post([&] {
        connection.reset();
        loop.stop();
      });
      socket.read_to_end();
    });
    connection = support::open_connection(loop, server.address());
    connection->start_tls(*context, options_for(kHost), seconds(20),
                          [&](TlsOutcome) { called = true; });
    support::run(loop);
    support::settle(loop);
  }
  SUBCASE("closed gracefully") {
    PeerServer server([&](PeerSocket& socket) { socket.read_to_end(); });
    begin(server.address());
    Connection::close_gracefully(std::move(connection));
    support::settle(loop);
  }
  SUBCASE("together with its loop") {
    PeerServer server([&](PeerSocket& socket) { socket.read_to_end(); });
    auto other = std::make_unique<EventLoop>();
    auto doomed = support::open_connection(*other, server.address());
    doomed->start_tls(*context, options_for(kHost), seconds(20),
                      [&](TlsOutcome) { called = true; });
    doomed.reset();
    other.reset();
  }
  CHECK_FALSE(called);
}

TEST_CASE("the callback of a handshake may destroy the connection") {
  EventLoop loop;
  const auto authority = new_authority();
  const auto context = trusting(authority);
  const TlsServer server(authority.issue({.dns_names = {kHost}}), {});
  auto connection = support::open_connection(loop, server.address());
  connection->start_tls(*context, options_for(kHost), seconds(20), [&](TlsOutcome outcome) {
    connection.reset();
    CHECK(text_of(outcome) == "verified");
    loop.stop();
  });
  support::run(loop);
  support::settle(loop);
}

TEST_CASE("a resumed session keeps the verdict of its full handshake") {
  struct Row {
    int version;
    bool known_authority;
  };
  const auto authority = new_authority();
  for (const auto& row : {Row{TLS1_2_VERSION, true}, Row{TLS1_2_VERSION, false},
                          Row{TLS1_3_VERSION, true}, Row{TLS1_3_VERSION, false}}) {
    CAPTURE(row.version);
    CAPTURE(row.known_authority);
    TlsSessionCache sessions(10);
    const TlsServer server(authority.issue({.dns_names = {kHost}}),
                           {.newest_version = row.version});
    const auto context = trusting(row.known_authority ? authority : new_authority());
    const auto options = options_for(kHost, TlsFloor::tls12, &sessions);
    const auto first = shake_hands(server.address(), *context, options);
    CHECK_FALSE(parameters_of(first).resumed);
    for (int i = 0; i < 6; ++i) {
      const auto next = shake_hands(server.address(), *context, options);
      CHECK(parameters_of(next).resumed);
      CHECK(text_of(next) == text_of(first));
    }
    CHECK(std::holds_alternative<TlsVerified>(first) == row.known_authority);
  }
}

TEST_CASE("no ticket turns an unverified session into a verified one") {
  const auto authority = new_authority();
  const auto trusted = trusting(authority);
  const TlsServer server(authority.issue({.dns_names = {kHost}}), {});
  TlsSessionCache sessions(10);
  SUBCASE("a ticket from a context that knew no authority") {
    const auto stranger = trusting(new_authority());
    const auto options = options_for(kHost, TlsFloor::tls12, &sessions);
    const auto first = shake_hands(server.address(), *stranger, options);
    CHECK(std::holds_alternative<TlsUnverified>(first));
    const auto next = shake_hands(server.address(), *trusted, options);
    CHECK(parameters_of(next).resumed);
    CHECK(text_of(next) == text_of(first));
  }
  SUBCASE("a verified ticket offered for another name or another floor") {
    const auto options = options_for(kHost, TlsFloor::tls12, &sessions);
    CHECK(text_of(shake_hands(server.address(), *trusted, options)) == "verified");
    const auto other_name = shake_hands(server.address(), *trusted,
                                        options_for("other.example", TlsFloor::tls12, &sessions));
    CHECK_FALSE(parameters_of(other_name).resumed);
    CHECK(text_of(other_name) == "unverified mismatch:HOSTNAME_MISMATCH");
    const auto other_floor =
        shake_hands(server.address(), *trusted, options_for(kHost, TlsFloor::any, &sessions));
    CHECK_FALSE(parameters_of(other_floor).resumed);
  }
  SUBCASE("a ticket that the server does not accept: the certificate is verified anew") {
    const auto options = options_for(kHost, TlsFloor::tls12, &sessions);
    CHECK(text_of(shake_hands(server.address(), *trusted, options)) == "verified");
    const TlsServer changed(Certificate::self_signed({.dns_names = {kHost}}), {});
    const auto next = shake_hands(changed.address(), *trusted, options);
    CHECK_FALSE(parameters_of(next).resumed);
    CHECK(text_of(next) == "unverified untrusted:DEPTH_ZERO_SELF_SIGNED_CERT");
  }
}

TEST_CASE("a ticket is kept no longer than its certificate is valid") {
  const auto authority = new_authority();
  const auto context = trusting(authority);
  TlsSessionCache sessions(10);
  using std::chrono::hours;
  // Expired: its verdict must not be reused, whatever it is.
  const TlsServer server(
      authority.issue({.dns_names = {kHost}, .valid_from = -hours(9), .valid_until = -hours(1)}),
      {});
  const auto options = options_for(kHost, TlsFloor::tls12, &sessions);
  (void)shake_hands(server.address(), *context, options);
  CHECK_FALSE(parameters_of(shake_hands(server.address(), *context, options)).resumed);
}

ResumableSession ticket(int number, WallTime until) {
  return {nullptr, Faults{{CertificateFaultKind::expired, std::to_string(number)}}, until};
}

std::string taken(TlsSessionCache& cache, const std::string& key, WallTime now) {
  const auto session = cache.take(key, now);
  return session ? session->faults.front().code : "none";
}

TEST_CASE("session cache: newest first, each once, none after its time") {
  const WallTime now{std::chrono::hours(1000)};
  TlsSessionCache cache(100);
  CHECK(taken(cache, "a", now) == "none");
  cache.put("a", ticket(1, now + seconds(100)));
  cache.put("a", ticket(2, now + seconds(10)));
  cache.put("b", ticket(3, now + seconds(100)));
  CHECK(taken(cache, "a", now + seconds(10)) == "1");
  CHECK(taken(cache, "a", now) == "none");
  CHECK(taken(cache, "b", now + seconds(100)) == "none");
  cache.put("c", ticket(4, now + seconds(100)));
  cache.clear();
  CHECK(taken(cache, "c", now) == "none");
}

TEST_CASE("session cache: four tickets a key, and the oldest of all leave a full cache") {
  const WallTime now{std::chrono::hours(1000)};
  const WallTime later = now + seconds(100);
  TlsSessionCache cache(6);
  for (int i = 1; i <= 6; ++i) {
    cache.put("a", ticket(i, later));
  }
  for (int i = 11; i <= 13; ++i) {
    cache.put("b" + std::to_string(i), ticket(i, later));
  }
  CHECK(taken(cache, "a", now) == "6");
  CHECK(taken(cache, "a", now) == "5");
  CHECK(taken(cache, "a", now) == "4");
  CHECK(taken(cache, "a", now) == "none");
  CHECK(taken(cache, "b11", now) == "11");
  CHECK(taken(cache, "b13", now) == "13");
  TlsSessionCache none(0);
  none.put("a", ticket(1, later));
  CHECK(taken(none, "a", now) == "none");
}

TEST_CASE("a trust file that cannot be used is an error that names it") {
  const auto missing = TlsClientContext::create("/nonexistent/ca.pem");
  REQUIRE_FALSE(missing);
  CHECK(missing.error() == "/nonexistent/ca.pem: No such file or directory");
  const TemporaryFile file("not a certificate");
  const auto empty = TlsClientContext::create(file.path());
  REQUIRE_FALSE(empty);
  CHECK(empty.error().starts_with(file.path() + ": no CA certificates in PEM form"));
  CHECK(TlsClientContext::create("").has_value());
}

}  // namespace
