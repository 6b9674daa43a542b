// TLS towards servers: trust anchors, verification rules and resumable sessions.
// Verification follows RFC 8461 §4.2 and RFC 6125: dNSName SANs only, no CN, wildcard only as the
// whole left-most label. The handshake itself never fails for a bad certificate; every fault is
// collected and handed on as a value (net/tls_outcome).
#pragma once

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "relay/net/clock.h"
#include "relay/net/dane.h"
#include "relay/net/domain_name.h"
#include "relay/net/expected.h"
#include "relay/net/revocation.h"
#include "relay/net/tls_outcome.h"

struct ssl_ctx_st;
struct ssl_session_st;

namespace relay::net {

/// A ticket with the verdict that its full handshake earned: a resumed session carries no chain,
/// so the verdict has to travel with it.
struct ResumableSession {
  std::shared_ptr<ssl_session_st> session;
  std::vector<CertificateFault> faults;  ///< empty: verified
  WallTime usable_until;                 ///< min(ticket life, 1 h, notAfter of the chain)
  TlsParameters parameters{};            ///< of the full handshake
};

/// Tickets by key. Key: whatever makes two sessions interchangeable (host, address, SNI, floor,
/// required level); built by the caller. Each ticket is handed out once (TLS 1.3 single use); a
/// key keeps its four newest, the whole cache its newest `capacity`.
/// Belongs to one event loop.
class TlsSessionCache {
 public:
  explicit TlsSessionCache(std::size_t capacity) : capacity_(capacity) {}
  /// The newest ticket of key that is still usable at now.
  std::optional<ResumableSession> take(const std::string& key, WallTime now);
  void put(const std::string& key, ResumableSession session);
  void clear();

 private:
  struct Entry {
    std::string key;
    ResumableSession session;
  };
  using Entries = std::list<Entry>;

  void forget(Entries::iterator entry);

  std::size_t capacity_;
  Entries entries_;                                                         // newest first
  std::unordered_map<std::string, std::vector<Entries::iterator>> by_key_;  // oldest first
};

/// Trust anchors and protocol settings shared by all client connections of a worker.
class TlsClientContext {
 public:
  /// ca_file: PEM bundle replacing the system's trust store; empty: the system's. The error says
  /// which file and why.
  static Expected<std::shared_ptr<TlsClientContext>, std::string> create(
      const std::string& ca_file, Revocation revocation = Revocation::stapled);
  ~TlsClientContext();
  TlsClientContext(const TlsClientContext&) = delete;
  TlsClientContext& operator=(const TlsClientContext&) = delete;

  [[nodiscard]] ssl_ctx_st* get() const { return context_; }  ///< for relay/net only
  [[nodiscard]] Revocation revocation() const { return revocation_; }

 private:
  TlsClientContext(ssl_ctx_st* context, Revocation revocation)
      : context_(context), revocation_(revocation) {}
  ssl_ctx_st* context_;
  Revocation revocation_;
};

struct TlsClientOptions {
  /// The name the certificate must prove; absent for a target given as an address only: then no
  /// certificate counts as verified.
  std::optional<DomainName> reference_name;
  TlsFloor floor = TlsFloor::any;
  TlsSessionCache* sessions = nullptr;  ///< null: no resumption; else outlives the connection
  std::string session_key;
  /// TLSA records for TlsParameters::dane; null: none. TlsVerified and TlsUnverified speak about
  /// trust anchors and reference_name all the same.
  std::shared_ptr<const DaneExpectation> dane{};
  const Clock* clock = nullptr;  ///< for the life of tickets; outlives the connection; null: system
  DescribeChain chain = DescribeChain::no;  ///< for TlsParameters::chain
  /// SNI; absent: reference_name, if there is one.
  std::optional<DomainName> server_name{};
};

}  // namespace relay::net
