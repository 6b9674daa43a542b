#include "relay/net/https_head.h"

#include <algorithm>
#include <charconv>

#include "relay/net/ascii.h"

namespace relay::net {
namespace {

constexpr std::size_t kMaxSize = 64UL * 1024UL;
constexpr std::string_view kBlank = " \t\r\n";

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

int status_of(std::string_view line) {
  int status = 0;
  const std::string_view code = trim(line.substr(std::min(line.find(' '), line.size())));
  std::from_chars(code.data(), code.data() + code.size(), status);
  return status;
}

}  // namespace

std::string_view trim(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlank);
  return first == std::string_view::npos
             ? std::string_view()
             : text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

std::optional<std::string> HttpsHead::take(std::string_view line) {
  size_ += line.size();
  if (size_ > kMaxSize) {
    return "headers-too-large";
  }
  if (finished()) {
    return std::nullopt;  // a trailer
  }
  if (line.starts_with("HTTP/")) {
    status_ = status_of(line);
    fields_ = {};
    complete_ = false;
    return std::nullopt;
  }
  complete_ = trim(line).empty();
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || kBlank.find(line.front()) != std::string_view::npos) {
    return std::nullopt;
  }
  const std::string_view name = line.substr(0, colon);
  // RFC 9112 §5.1: with blanks before the colon it is a field to some readers only.
  const auto fault = trim(name) == name ? take_field(name, trim(line.substr(colon + 1)))
                                        : std::optional<std::string>("malformed-response");
  return successful() && use_ == HttpsBodyUse::read ? fault : std::nullopt;
}

std::optional<std::string> HttpsHead::take_field(std::string_view name, std::string_view value) {
  if (equal_ignoring_case(name, "content-type")) {
    fields_.content_type = value;
  } else if (equal_ignoring_case(name, "retry-after")) {
    fields_.retry_after = value;
  } else if (equal_ignoring_case(name, "content-encoding")) {
    if (!value.empty() && !equal_ignoring_case(value, "identity")) {
      return "content-encoding";
    }
  } else if (equal_ignoring_case(name, "content-length")) {
    // RFC 9112 §6.3: a length that two readers may read differently is no length.
    if (!is_number(value) || fields_.content_length.value_or(std::string(value)) != value) {
      return "content-length";
    }
    fields_.content_length = value;
  } else if (equal_ignoring_case(name, "transfer-encoding")) {
    if (fields_.chunked || !equal_ignoring_case(value, "chunked")) {
      return "transfer-encoding";
    }
    fields_.chunked = true;
  }
  return std::nullopt;
}

}  // namespace relay::net
