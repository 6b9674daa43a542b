#include "rpt/canonical.h"

#include <algorithm>
#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <cstddef>
#include <netinet/in.h>
#include <set>
#include <sys/socket.h>
#include <tuple>
#include <vector>

#include "rpt/text.h"

namespace rpt {
namespace {

constexpr std::size_t kMaxAnnouncedName = 255;
constexpr std::size_t kReplyCode = 3;

bool is_graphic(char c) {
  return c >= '!' && c <= '~';
}
char upper(char c) {
  return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
}

std::vector<std::string> words(std::string_view text) {
  std::vector<std::string> found;
  while (true) {
    const auto begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) {
      return found;
    }
    text.remove_prefix(begin);
    const auto end = std::min(text.find_first_of(" \t"), text.size());
    found.emplace_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

// A number of one octet; what is none sorts behind all that are.
int octet(const std::string& word) {
  constexpr int kNone = 256;
  int value = kNone;
  const char* const end = word.data() + word.size();
  const auto [rest, error] = std::from_chars(word.data(), end, value);
  return error == std::errc{} && rest == end && value >= 0 && value < kNone ? value : kNone;
}

template <class Address, std::size_t N>
std::string text_of(int family, const Address& address) {
  std::array<char, N> text{};
  return inet_ntop(family, &address, text.data(), text.size()) == nullptr ? "" : text.data();
}

std::vector<std::string> canonical_tlsa(const std::vector<std::string>& records) {
  constexpr std::size_t kNumbers = 3;
  std::set<std::tuple<int, int, int, std::string>> ordered;
  for (const std::string& record : records) {
    std::vector<std::string> parts = words(record);
    std::string text;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      text += (i > 0 && i <= kNumbers ? " " : "") + parts[i];
    }
    std::transform(text.begin(), text.end(), text.begin(), upper);
    parts.resize(kNumbers);
    ordered.emplace(octet(parts[0]), octet(parts[1]), octet(parts[2]), std::move(text));
  }
  std::vector<std::string> canonical;
  canonical.reserve(ordered.size());
  for (const auto& record : ordered) {
    canonical.push_back(std::get<std::string>(record));
  }
  return canonical;
}

}  // namespace

std::string canonical_name(std::string_view name) {
  if (name.ends_with('.')) {
    name.remove_suffix(1);
  }
  return lower(name);
}

PolicyDescription canonical(PolicyDescription policy) {
  policy.domain = canonical_name(policy.domain);
  for (std::string& host : policy.mx_hosts) {
    host = canonical_name(host);
  }
  if (policy.type == PolicyType::tlsa) {
    policy.strings = canonical_tlsa(policy.strings);
  }
  return policy;
}

FailureDetail canonical(FailureDetail failure) {
  failure.sending_mta_ip = canonical_ip(failure.sending_mta_ip);
  failure.receiving_ip = canonical_ip(failure.receiving_ip);
  failure.receiving_mx_hostname = canonical_name(failure.receiving_mx_hostname);
  failure.receiving_mx_helo = announced_name(failure.receiving_mx_helo);
  return failure;
}

std::string canonical_ip(const std::string& text) {
  if (in_addr v4{}; inet_pton(AF_INET, text.c_str(), &v4) == 1) {
    return text_of<in_addr, INET_ADDRSTRLEN>(AF_INET, v4);
  }
  in6_addr v6{};
  if (inet_pton(AF_INET6, text.c_str(), &v6) != 1) {
    return {};
  }
  std::string canonical = text_of<in6_addr, INET6_ADDRSTRLEN>(AF_INET6, v6);
  constexpr std::string_view kMapped = "::ffff:";
  if (canonical.starts_with(kMapped) && canonical.find('.') != std::string::npos) {
    canonical.erase(0, kMapped.size());
  }
  return canonical;
}

std::string announced_name(std::string_view reply) {
  // A whole reply line may come in, "250-mx.example.net at your service".
  if (reply.size() > kReplyCode && (reply[kReplyCode] == '-' || reply[kReplyCode] == ' ') &&
      std::all_of(reply.begin(), reply.begin() + kReplyCode, is_digit)) {
    reply.remove_prefix(kReplyCode + 1);
  }
  const auto begin = std::min(reply.find_first_not_of(" \t"), reply.size());
  reply.remove_prefix(begin);
  const auto* const end = std::find_if_not(reply.begin(), reply.end(), is_graphic);
  const auto length = static_cast<std::size_t>(end - reply.begin());
  return std::string{reply.substr(0, std::min(length, kMaxAnnouncedName))};
}

}  // namespace rpt
