// What the readers of DNS packets share: names in wire and text form, fields of records, and
// owners for what ldns allocates. For relay/net only.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ldns/ldns.h>

namespace relay::net {

using ByteSpan = std::span<const std::uint8_t>;

struct FreePacket {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
};
using PacketHandle = std::unique_ptr<ldns_pkt, FreePacket>;

struct FreeBuffer {
  void operator()(std::uint8_t* bytes) const { LDNS_FREE(bytes); }
};
using BufferHandle = std::unique_ptr<std::uint8_t, FreeBuffer>;

struct FreeName {
  void operator()(ldns_rdf* name) const { ldns_rdf_deep_free(name); }
};
using NameHandle = std::unique_ptr<ldns_rdf, FreeName>;

struct FreeRecord {
  void operator()(ldns_rr* record) const { ldns_rr_free(record); }
};
using RecordHandle = std::unique_ptr<ldns_rr, FreeRecord>;

/// The root as name_to_wire() takes it; no answer calls it so.
constexpr std::string_view kRootName = ".";

/// An ASCII letter in lower case, any other octet unchanged.
[[nodiscard]] std::uint8_t lower(std::uint8_t octet);
[[nodiscard]] std::string lower_case(std::string text);

/// The name in wire form; nothing when it is neither askable nor kRootName.
[[nodiscard]] std::optional<std::vector<std::uint8_t>> name_to_wire(std::string_view name);

/// Lower-case text of an uncompressed wire name, empty for the root; nothing when a label holds
/// octets that text would have to escape.
[[nodiscard]] std::optional<std::string> name_to_text(ByteSpan wire);

[[nodiscard]] std::uint16_t read16(ByteSpan bytes, std::size_t at);
[[nodiscard]] std::uint32_t read32(ByteSpan bytes, std::size_t at);

/// The octets of one field of the record's data; empty when it has no such field.
[[nodiscard]] ByteSpan rdata_field(const ldns_rr& rr, std::size_t index);

/// RFC 2181 §8: a TTL with the highest bit set is zero.
[[nodiscard]] std::chrono::seconds ttl_of(const ldns_rr& rr);

}  // namespace relay::net
