// Which TLSA records count for one MX host (RFC 7672 §2.2, §3.1.3; RFC 7671 §9), as a step machine
// over DNS answers. No I/O: the driver asks, and feeds the answer back.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "relay/net/dane.h"
#include "relay/net/dns_message.h"
#include "relay/net/domain_name.h"

namespace relay::delivery {

/// How the name of an MX host came to be known.
enum class MxOrigin {
  insecure,  ///< MX records without DNSSEC: anyone on the way may have named the host
  secure,    ///< a DNSSEC-validated MX RRset, or its validated absence
  route,     ///< the configuration names the host
};

/// What DNS says about DANE for one MX host.
struct HostDane {
  enum class State {
    absent,         ///< nothing that DNSSEC vouches for: DANE has nothing to say
    denied,         ///< DNSSEC proves that there are no TLSA records
    usable,         ///< the certificate must match `expectation`
    unusable,       ///< secure records, none usable: TLS without authentication (RFC 7672 §2.2)
    lookup_failed,  ///< SERVFAIL, bogus, time-out: the host must not be used (RFC 7672 §2.2)
  };
  State state = State::absent;
  std::string base_domain;                                  ///< TLSA base domain of the records
  std::vector<std::string> records;                         ///< "3 1 1 HEX", as found
  std::shared_ptr<const net::DaneExpectation> expectation;  ///< state usable only
  std::string failure;                                      ///< state lookup_failed only
};

/// Ask for the CNAME record at name, without following it.
struct FindAlias {
  net::DomainName name;
};
/// Ask for the TLSA records at owner, "_25._tcp.mx.example".
struct FindTlsa {
  std::string owner;
};
using TlsaStep = std::variant<FindAlias, FindTlsa, HostDane>;

class TlsaSearch {
 public:
  struct Subject {
    net::DomainName host;      ///< as in the MX record
    net::DomainName next_hop;  ///< the name whose MX records were asked for
    MxOrigin origin = MxOrigin::insecure;
    std::uint16_t port = 25;
  };
  explicit TlsaSearch(Subject subject) : subject_(std::move(subject)) {}

  /// a, aaaa: the answers for the host. Without a secure one there is nothing to ask for
  /// (RFC 7672 §2.2.2: that also spares zones whose servers choke on TLSA queries).
  [[nodiscard]] TlsaStep start(const net::DnsResult& a, const net::DnsResult& aaaa);
  [[nodiscard]] TlsaStep on_alias(const net::DnsResult& answer);
  [[nodiscard]] TlsaStep on_tlsa(const net::DnsResult& answer);

 private:
  TlsaStep ask_next();
  [[nodiscard]] HostDane judged(const std::vector<net::DnsTlsa>& records) const;

  Subject subject_;
  std::vector<net::DomainName> bases_;  // TLSA base domains to try, first one last
  bool all_denied_ = true;              // securely, of those tried
};

}  // namespace relay::delivery
