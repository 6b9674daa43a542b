#include "relay/net/dane.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <stdexcept>
#include <string_view>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

namespace relay::net {
namespace {

// RFC 7218 §2
constexpr std::uint8_t kDaneTa = 2;
constexpr std::uint8_t kDaneEe = 3;
constexpr std::uint8_t kCertificate = 0;
constexpr std::uint8_t kPublicKey = 1;
constexpr std::uint8_t kFull = 0;
constexpr std::uint8_t kSha256 = 1;
constexpr std::uint8_t kSha512 = 2;

constexpr std::size_t kDigestLength = 32;  // hex digits of the key text

/// Whether all of data is one DER value that decode reads.
template <class Value>
bool is_der(const std::string& data, Value* (*decode)(Value**, const unsigned char**, long),
            void (*release)(Value*)) {
  if (data.size() > static_cast<std::size_t>(std::numeric_limits<std::uint16_t>::max())) {
    return false;
  }
  const auto* const begin = reinterpret_cast<const unsigned char*>(data.data());
  const unsigned char* end = begin;
  const std::unique_ptr<Value, void (*)(Value*)> value(
      decode(nullptr, &end, static_cast<long>(data.size())), release);
  return value != nullptr && end == begin + data.size();
}

bool has_usable_data(const DnsTlsa& record) {
  switch (record.matching_type) {
    case kFull:
      return record.selector == kCertificate ? is_der(record.data, &d2i_X509, &X509_free)
                                             : is_der(record.data, &d2i_PUBKEY, &EVP_PKEY_free);
    case kSha256:
      return record.data.size() == 32;
    case kSha512:
      return record.data.size() == 64;
    default:
      return false;
  }
}

std::string hex_sha256(std::string_view bytes) {
  std::array<unsigned char, 32> hash{};
  if (EVP_Digest(bytes.data(), bytes.size(), hash.data(), nullptr, EVP_sha256(), nullptr) != 1) {
    throw std::runtime_error("no SHA-256");
  }
  return fmt::format("{:02x}", fmt::join(hash, ""));
}

}  // namespace

bool usable(const DnsTlsa& record) {
  return (record.usage == kDaneTa || record.usage == kDaneEe) &&
         (record.selector == kCertificate || record.selector == kPublicKey) &&
         has_usable_data(record);
}

std::vector<DnsTlsa> strongest_digests(std::vector<DnsTlsa> records) {
  const auto outranked = [&records](const DnsTlsa& record) {
    return record.matching_type == kSha256 &&
           std::ranges::any_of(records, [&record](const DnsTlsa& other) {
             return other.matching_type == kSha512 && other.usage == record.usage &&
                    other.selector == record.selector;
           });
  };
  std::vector<DnsTlsa> kept;
  std::ranges::remove_copy_if(records, std::back_inserter(kept), outranked);
  return kept;
}

std::string text(const DnsTlsa& record) {
  const auto* const data = reinterpret_cast<const unsigned char*>(record.data.data());
  return fmt::format("{} {} {} {:02X}", record.usage, record.selector, record.matching_type,
                     fmt::join(data, data + record.data.size(), ""));
}

std::string DaneExpectation::digest() const {
  std::vector<std::string> parts;
  std::ranges::transform(records, std::back_inserter(parts),
                         [](const DnsTlsa& record) { return text(record); });
  std::ranges::sort(parts);
  std::ranges::transform(reference_names, std::back_inserter(parts),
                         [](const DomainName& name) { return name.text(); });
  return hex_sha256(fmt::format("{}", fmt::join(parts, "\n"))).substr(0, kDigestLength);
}

}  // namespace relay::net
