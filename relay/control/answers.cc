#include "relay/control/answers.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "relay/net/domain_name.h"

namespace relay::control {
namespace {

constexpr std::size_t kMaxPageOctets = 1U << 20;  // of JSON

}  // namespace

Response refuse(std::string sentence) {
  return {{}, std::move(sentence)};
}

Response refuse(const spool::StoreFault& fault) {
  return refuse(fmt::format("the spool cannot be used: {}", fault.reason));
}

Response answer(const Json& json) {
  return {to_text(json), {}};
}

std::string lower(std::string_view text) {
  std::string copy(text);
  std::ranges::transform(copy, copy.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return copy;
}

std::string canonical_domain(const std::string& text) {
  const auto name = net::DomainName::parse(text);
  return name ? name->text() : lower(text);
}

void Page::add(const Json& entry) {
  octets_ += to_text(entry).size();
  entries_.push_back(entry);
}

bool Page::full() const {
  return entries_.size() >= limit_ || octets_ >= kMaxPageOctets;
}

Response Page::respond(const char* name, const Json& next) const {
  return answer(Json{{name, entries_}, {"next", next}});
}

}  // namespace relay::control
