// Builds DNS responses octet by octet, without the codec under test.
#pragma once

#include <arpa/inet.h>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "relay/net/dns_message.h"

namespace support {

inline std::string be16(unsigned value) {
  return {static_cast<char>(value >> 8U & 0xffU), static_cast<char>(value & 0xffU)};
}
inline std::string be32(std::uint32_t value) {
  return be16(value >> 16U) + be16(value & 0xffffU);
}

/// "" is the root; dots separate, nothing is escaped.
inline std::string wire_name(std::string_view name) {
  std::string wire;
  while (!name.empty()) {
    const std::string_view label = name.substr(0, name.find('.'));
    wire += static_cast<char>(label.size());
    wire += label;
    name.remove_prefix(std::min(name.size(), label.size() + 1));
  }
  return wire + '\0';
}

namespace rdata {
inline std::string a(const std::string& ip) {
  std::string raw(4, '\0');
  inet_pton(AF_INET, ip.c_str(), raw.data());
  return raw;
}
inline std::string aaaa(const std::string& ip) {
  std::string raw(16, '\0');
  inet_pton(AF_INET6, ip.c_str(), raw.data());
  return raw;
}
inline std::string mx(unsigned preference, std::string_view host) {
  return be16(preference) + wire_name(host);
}
inline std::string txt(const std::vector<std::string>& strings) {
  std::string raw;
  for (const std::string& text : strings) {
    raw += static_cast<char>(text.size());
    raw += text;
  }
  return raw;
}
inline std::string soa(std::uint32_t minimum) {
  return wire_name("ns.test") + wire_name("root.test") + be32(1) + be32(2) + be32(3) + be32(4) +
         be32(minimum);
}
}  // namespace rdata

constexpr unsigned kCname = 5;
constexpr unsigned kNs = 2;
constexpr unsigned kSoa = 6;

/// A response to question; NOERROR and empty to begin with.
class DnsPacket {
 public:
  explicit DnsPacket(const relay::net::DnsQuestion& question)
      : id_(question.id),
        question_(wire_name(question.name) + be16(static_cast<unsigned>(question.type)) + be16(1)) {
  }

  DnsPacket& id(std::uint16_t value) { return id_ = value, *this; }
  DnsPacket& rcode(unsigned value) { return flags_ |= value, *this; }
  DnsPacket& truncated() { return flags_ |= 0x0200U, *this; }
  DnsPacket& authentic() { return flags_ |= 0x0020U, *this; }
  DnsPacket& query() { return flags_ &= 0x7fffU, *this; }
  DnsPacket& without_question() { return question_.clear(), *this; }
  DnsPacket& answer(std::string_view owner, unsigned type, std::uint32_t ttl,
                    const std::string& data) {
    answers_.push_back(record(owner, type, ttl, data));
    return *this;
  }
  DnsPacket& answer(std::string_view owner, relay::net::DnsType type, std::uint32_t ttl,
                    const std::string& data) {
    return answer(owner, static_cast<unsigned>(type), ttl, data);
  }
  DnsPacket& authority(std::string_view owner, unsigned type, std::uint32_t ttl,
                       const std::string& data) {
    authorities_.push_back(record(owner, type, ttl, data));
    return *this;
  }
  DnsPacket& additional(std::string raw) { return additionals_.push_back(std::move(raw)), *this; }

  [[nodiscard]] std::string bytes() const {
    std::string packet = be16(id_) + be16(flags_) + be16(question_.empty() ? 0 : 1);
    for (const auto* section : {&answers_, &authorities_, &additionals_}) {
      packet += be16(static_cast<unsigned>(section->size()));
    }
    packet += question_;
    for (const auto* section : {&answers_, &authorities_, &additionals_}) {
      for (const std::string& raw : *section) {
        packet += raw;
      }
    }
    return packet;
  }

 private:
  static std::string record(std::string_view owner, unsigned type, std::uint32_t ttl,
                            const std::string& data) {
    return wire_name(owner) + be16(type) + be16(1) + be32(ttl) +
           be16(static_cast<unsigned>(data.size())) + data;
  }

  unsigned id_;
  unsigned flags_ = 0x8180;  // QR, RD, RA
  std::string question_;
  std::vector<std::string> answers_;
  std::vector<std::string> authorities_;
  std::vector<std::string> additionals_;
};

}  // namespace support
