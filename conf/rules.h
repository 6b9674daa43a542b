// What a setting's value may be: the vocabulary of the schema.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "conf/config.h"

namespace conf {

struct Number {
  std::uint64_t min, max;
};
struct Octets {
  std::uint64_t min, max;
};
struct Wait {
  Duration min, max;
};
/// A list of waits; the last one repeats and so must not be shorter than min_last.
struct WaitList {
  Duration min_last, max;
  enum class Empty { refused, allowed } empty = Empty::refused;
};
struct Flag {};
enum class TextKind {
  host_name,
  user,
  directory,
  file,
  route_match,
  domain,
  next_hop,
  reason,
  mailbox,
  socket_mode,
  sender_match,
  sender_target,
  route_sender,
  route_listener,
  ipv4,
  ipv6,
  https_url,
  credential,
  rate,
  reply_code,
  enhanced_code,
  event_target,
  account_name
};
struct Text {
  TextKind kind;
};
struct Address {
  std::uint16_t default_port;
};
struct AddressList {
  std::uint16_t default_port;
};
/// An address and port, or "unix:/path".
struct ListenPlace {
  std::uint16_t default_port;
};
/// Mail addresses and domains; "<>" too where senders are meant.
struct AddressPatternList {
  enum class NullSender { refused, allowed } null_sender;
};
struct UserNameList {};
struct NetworkList {};
struct FingerprintList {};
struct MxPatternList {};
struct ReportUriList {};
/// SHA-256 fingerprints, host names, or "*".
struct CertificateList {};
/// Texts in which * stands for any text.
struct PatternList {};
struct UntilMoment {};
/// Sections by domain, or by names of users. list_key: a list instead of a section stands for a
/// section with this key.
struct ByDomain {
  enum class Wildcards { refused, allowed } wildcards;
  const char* list_key = nullptr;
  enum class Keys { domains, users } keys = Keys::domains;
};
/// Names of the enumerators 0, 1, …
template <std::size_t N>
struct Choice {
  std::array<std::string_view, N> names;
};

inline constexpr Number kPort{1, 65535};
inline constexpr Number kCount{1, 1'000'000};
inline constexpr Wait kTimeout{Duration(1), std::chrono::hours(24)};
inline constexpr Choice<3> kListenerTlsModes{{"none", "starttls", "implicit"}};
inline constexpr Choice<2> kTlsVersions{{"1.2", "1.3"}};
inline constexpr Choice<4> kLogLevels{{"error", "warning", "info", "debug"}};
inline constexpr Choice<7> kTlsLevels{kTlsLevelNames};
// fingerprint, the last one, needs a domain's fingerprints.
inline constexpr Choice<6> kDefaultTlsLevels{
    {"none", "opportunistic", "encrypt", "verify", "dane", "dane-only"}};
inline constexpr Choice<2> kDaneWithSts{{"dane", "both"}};
inline constexpr Choice<2> kRevocation{{"off", "stapled"}};
inline constexpr Choice<2> kDnssec{{"trust_ad", "validate"}};
inline constexpr Choice<2> kFirstContacts{{"deliver", "hold"}};
inline constexpr Choice<2> kOnDnsFailures{{"proceed", "defer"}};
inline constexpr Choice<2> kFaultPlaces{{"submission", "delivery"}};
inline constexpr Choice<3> kFaultConnections{{"kept", "dropped", "tls_failed"}};
inline constexpr Choice<2> kOverLimits{{"hold", "refuse"}};
inline constexpr Choice<3> kPriorities{{"high", "normal", "bulk"}};
inline constexpr Choice<2> kUpstreamTls{{"starttls", "implicit"}};
// Of TlsLevel, the first four.
inline constexpr Choice<4> kUpstreamLevels{{"none", "opportunistic", "encrypt", "verify"}};
inline constexpr Choice<3> kSendOver{{"verified", "encrypted", "plaintext"}};
inline constexpr Choice<3> kPrefers{{"ipv6", "ipv4", "none"}};
inline constexpr Choice<3> kReplyActions{{"defer", "slow_down", "fail"}};
inline constexpr Choice<2> kSwitch{{"false", "true"}};
inline constexpr Choice<3> kLogFormats{{"logfmt", "json", "postfix"}};
inline constexpr AddressPatternList kSenders{AddressPatternList::NullSender::allowed};
inline constexpr AddressPatternList kRecipients{AddressPatternList::NullSender::refused};

}  // namespace conf
