// A listener: where clients connect, who they have to be, and what they may do. Part of
// conf/config.h.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conf/queue_rules.h"
#include "conf/units.h"

namespace conf {

/// An IP address and port, or a UNIX socket.
struct ListenAddress : AddressLiteral {
  std::string path;  ///< of the UNIX socket; empty: the IP address

  [[nodiscard]] bool is_unix() const { return !path.empty(); }
  /// "192.0.2.1:25", "unix:/run/stsrelay/smtp.sock".
  [[nodiscard]] std::string text() const;
  // NOLINTNEXTLINE(modernize-use-nullptr): clang-tidy 14 misreads defaulted comparisons
  friend auto operator<=>(const ListenAddress&, const ListenAddress&) = default;
};
[[nodiscard]] std::optional<ListenAddress> parse_listen_address(std::string_view text,
                                                                std::uint16_t default_port);
/// Where an address names no port.
inline constexpr std::uint16_t kListenPort = 25;

/// The file of a UNIX socket; whoever its permissions let connect may relay.
struct ListenerSocket {
  std::string mode = "0666";  ///< octal
  std::string owner;          ///< "user" or "user:group"; "": the account of the daemon
  friend bool operator==(const ListenerSocket&, const ListenerSocket&) = default;
};

/// How a listener speaks TLS, with which certificate. Files are PEM.
struct ListenerTls {
  enum class Mode { none, starttls, implicit } mode = Mode::none;
  std::string certificate;  ///< with the chain up to, not with, the root
  std::string key;          ///< "": in the certificate's file
  enum class Version { tls12, tls13 } minimum_version = Version::tls12;
  std::string client_ca;  ///< "": clients' certificates prove no name
  friend bool operator==(const ListenerTls&, const ListenerTls&) = default;
};

/// SMTP AUTH (RFC 4954), which is offered inside TLS only.
struct ListenerAuth {
  std::string users;      ///< "NAME:HASH" lines; "": no AUTH
  bool required = false;  ///< an address in allow_networks is not enough
  friend bool operator==(const ListenerAuth&, const ListenerAuth&) = default;
};

/// Mail addresses: "a@example.com", "example.com", "*.example.com" (all below it), and "<>" for
/// the null sender; in lower case. What deny holds is refused, and with an allow that is not empty
/// all that it does not hold.
struct AddressFilter {
  std::vector<std::string> allow, deny;
  friend bool operator==(const AddressFilter&, const AddressFilter&) = default;
};

/// How much one client may send and how often it may be connected. What is not given is as in the
/// next wider one: for a user, for a network, for all clients of the listener.
struct ClientLimits {
  std::optional<int> connections;       ///< at once; 0: only limits.connections_per_client
  std::optional<std::string> messages;  ///< "100/h"; "": any number
  std::optional<std::string> recipients;
  /// What becomes of mail over the rates: it is taken and held, all of it, until an operator
  /// releases the client; or it is refused for now.
  enum class Over { hold, refuse };
  std::optional<Over> over;
  friend bool operator==(const ClientLimits&, const ClientLimits&) = default;
};

/// More filters and other limits, for some clients of a listener.
struct ClientRule {
  std::vector<std::string> users;  ///< names of AUTH, "uid:1000" on a UNIX socket
  std::vector<Network> networks;
  AddressFilter senders, recipients;
  std::optional<ClientLimits> limits{};
  friend bool operator==(const ClientRule&, const ClientRule&) = default;
};

/// Another address for a sender.
struct SenderRewrite {
  std::string match;  ///< as in AddressFilter, without "<>"
  std::string to;     ///< "ops@example.com"; "@example.com" keeps what stands before the @
  friend bool operator==(const SenderRewrite&, const SenderRewrite&) = default;
};

/// One listening address and who may relay through it.
struct Listener {
  ListenAddress address{{"127.0.0.1", 25}, {}};
  ListenerSocket socket;
  ListenerTls tls;
  ListenerAuth auth;
  /// Proxies, whose connections begin with a PROXY header (v1 or v2) that names the client.
  std::vector<Network> proxy_protocol;
  std::vector<Network> allow_networks = loopback_networks();
  /// Client certificates that may relay: SHA-256 fingerprints in lower-case hex, or dNSName SANs of
  /// certificates that tls.client_ca issued.
  std::vector<std::string> allow_certificates;
  std::vector<Network> normalize_networks;  ///< clients whose bare LF/CR are mended, not refused
  AddressFilter senders, recipients;
  ClientLimits limits{0, "", "", ClientLimits::Over::hold};  ///< of each client
  std::vector<ClientRule> client_rules;                      ///< all that fit a client count
  std::vector<SenderRewrite> rewrite_senders;                ///< the first match counts
  bool add_missing_headers = true;                           ///< Date and Message-ID
  bool hide_client = false;                                  ///< in the Received field
  Priority priority = Priority::normal;  ///< of what comes in, unless its user has one
  friend bool operator==(const Listener&, const Listener&) = default;
};

}  // namespace conf
