// A stub resolver on one event loop: own UDP socket per query, TCP on truncation, several servers
// with failover, answers cached by TTL, equal questions asked once (RFC 1034, 2308, 5452).
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "relay/net/clock.h"
#include "relay/net/dns_message.h"
#include "relay/net/dnssec_chain.h"
#include "relay/net/event_loop.h"
#include "relay/net/operation.h"
#include "relay/net/socket_address.h"

namespace relay::net {

/// Who says that an answer is secure.
enum class DnssecMode {
  trust_ad,  ///< the resolvers of trust_ad, by their AD bit
  validate,  ///< we, by checking the signatures from the trust anchors down
};

struct DnsClientOptions {
  std::vector<SocketAddress> resolvers;  ///< asked in order
  std::vector<SocketAddress> trust_ad;   ///< resolvers whose AD bit counts
  DnssecMode dnssec = DnssecMode::trust_ad;
  std::shared_ptr<const DnssecAnchors> anchors{};  ///< validate: null means that nothing is secure
  std::chrono::milliseconds try_timeout{2000};
  int rounds = 3;                              ///< times through the list of resolvers
  std::chrono::seconds max_ttl{3600};          ///< cap for cached answers
  std::chrono::seconds max_negative_ttl{900};  ///< cap for cached absences (RFC 2308)
};

enum class DnsCacheUse { allowed, bypass };

class DnsClient {
 public:
  using Callback = std::function<void(DnsResult)>;
  DnsClient(EventLoop& loop, const Clock& clock, DnsClientOptions options);
  ~DnsClient();
  DnsClient(const DnsClient&) = delete;
  DnsClient& operator=(const DnsClient&) = delete;

  /// name: A-label text, no trailing dot. TTL in the answer is what is left of it. Failures are
  /// not cached. bypass: asks again and refreshes the cache.
  Operation query(const std::string& name, DnsType type, DnsCacheUse cache, Callback done);

  [[nodiscard]] DnssecMode dnssec_mode() const;
  /// Whether secure answers are to be had at all: asks for the root's keys, past the cache.
  /// done gets "secure" or "not-secure: " and why.
  Operation probe_dnssec(std::function<void(std::string)> done);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// The name servers of /etc/resolv.conf (port 53); loopback's if there are none.
std::vector<SocketAddress> system_resolvers(const std::string& resolv_conf_text);

}  // namespace relay::net
