#include "relay/delivery/token_exchange.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "relay/smtp/ascii.h"

namespace relay::delivery {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::seconds kUsualLifetime{3600};
constexpr std::size_t kLongestToken = 16'384;

/// application/x-www-form-urlencoded.
std::string form(std::string_view text) {
  std::string result;
  result.reserve(text.size() * 3);
  for (const char c : text) {
    if (smtp::is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~') {
      result += c;
    } else {
      result += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return result;
}

std::string text_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Unexpected<std::string> refusal(const net::HttpsResponse& response, const Json& object) {
  std::string error = object.is_object() ? text_of(object, "error") : std::string();
  const std::string description =
      object.is_object() ? text_of(object, "error_description") : std::string();
  if (!description.empty()) {
    error += (error.empty() ? "" : ": ") + description;
  }
  return Unexpected<std::string>(fmt::format("the token endpoint answered {}{}{}", response.status,
                                             error.empty() ? "" : " ",
                                             smtp::printable(error, 300)));
}

bool sendable(std::string_view token) {
  return !token.empty() && token.size() <= kLongestToken &&
         std::all_of(token.begin(), token.end(), smtp::is_graphic);
}

}  // namespace

net::HttpsPost token_request(const TokenEndpoint& endpoint) {
  net::HttpsPost post{"grant_type=client_credentials", "application/x-www-form-urlencoded"};
  if (!endpoint.scope.empty()) {
    post.content += "&scope=" + form(endpoint.scope);
  }
  post.userinfo = form(endpoint.client_id) + ":" + form(endpoint.client_secret.text());
  return post;
}

Expected<AccessToken, std::string> token_of(const net::HttpsResponse& response) {
  const Json object = Json::parse(response.body, nullptr, false);
  if (response.status != 200 || !object.is_object()) {
    return refusal(response, object);
  }
  std::string token = text_of(object, "access_token");
  if (!sendable(token)) {
    return Unexpected<std::string>("the token endpoint answered 200 without a usable access_token");
  }
  AccessToken result{smtp::Secret(std::move(token)), kUsualLifetime};
  const auto expires = object.find("expires_in");
  if (expires != object.end() && expires->is_number_integer()) {
    result.lifetime = std::chrono::seconds(
        std::clamp<std::int64_t>(expires->get<std::int64_t>(), 0, std::int64_t{7} * 24 * 3600));
  }
  return result;
}

}  // namespace relay::delivery
