#include "relay/delivery_files.h"

#include <algorithm>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "relay/file_text.h"
#include "relay/settings.h"

namespace relay {
namespace {

/// A setting whose file cannot be used.
struct SecretFault {
  std::string key;  ///< below the upstream: "auth.password_file"
  std::string reason;
};

/// The first line of a file of secrets.
Expected<smtp::Secret, SecretFault> load_secret(const std::string& key, const std::string& path) {
  auto text = file_text(path);
  if (!text) {
    return Unexpected<SecretFault>(
        SecretFault{key, fmt::format("{} cannot be read: {}", path, text.error())});
  }
  const smtp::Secret whole(std::move(*text));
  const auto line = std::string_view(whole.text()).substr(0, whole.text().find_first_of("\r\n"));
  if (line.empty() || line.find('\0') != std::string_view::npos || line.size() > 1000) {
    return Unexpected<SecretFault>(SecretFault{
        key, fmt::format("{} has no secret of at most 1000 octets as its first line", path)});
  }
  return smtp::Secret(std::string(line));
}

Expected<std::shared_ptr<const delivery::TokenEndpoint>, SecretFault> load_endpoint(
    const conf::OAuth2& oauth2) {
  auto url = delivery::parse_endpoint(oauth2.token_url);
  if (!url) {
    return Unexpected<SecretFault>(
        SecretFault{"auth.oauth2.token_url", fmt::format("{} is no https URL", oauth2.token_url)});
  }
  auto secret = load_secret("auth.oauth2.client_secret_file", oauth2.client_secret_file);
  if (!secret) {
    return Unexpected<SecretFault>(std::move(secret.error()));
  }
  return std::make_shared<const delivery::TokenEndpoint>(
      delivery::TokenEndpoint{std::move(url->host), url->port, std::move(url->path),
                              oauth2.client_id, std::move(*secret), oauth2.scope});
}

Expected<std::shared_ptr<const delivery::Credentials>, SecretFault> load(
    const conf::Upstream& upstream) {
  const conf::UpstreamAuth& auth = *upstream.auth;
  auto credentials = std::make_shared<delivery::Credentials>();
  credentials->account = delivery::account_of(upstream);
  credentials->user = auth.user;
  credentials->send_over = delivery::send_over(auth);
  if (auth.oauth2) {
    auto endpoint = load_endpoint(*auth.oauth2);
    if (!endpoint) {
      return Unexpected<SecretFault>(std::move(endpoint.error()));
    }
    credentials->endpoint = std::move(*endpoint);
    return credentials;
  }
  auto password = load_secret("auth.password_file", auth.password_file);
  if (!password) {
    return Unexpected<SecretFault>(std::move(password.error()));
  }
  credentials->password = std::make_shared<const smtp::ClientAuth>(smtp::ClientAuth{
      auth.user, smtp::ClientAuth::Kind::password, credentials->send_over, std::move(*password)});
  return credentials;
}

using Fail = std::function<void(const std::string& key, const std::string& reason)>;

std::shared_ptr<const delivery::CredentialTable> load_credentials(const conf::Config& config,
                                                                  const Fail& fail) {
  auto table = std::make_shared<delivery::CredentialTable>();
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    const auto& upstreams = config.routes[i].upstreams;
    for (std::size_t j = 0; j < upstreams.size(); ++j) {
      if (!upstreams[j].auth) {
        continue;
      }
      if (auto loaded = load(upstreams[j])) {
        table->insert_or_assign((*loaded)->account, *loaded);
      } else {
        fail(fmt::format("routes[{}].upstreams[{}].{}", i, j, loaded.error().key),
             loaded.error().reason);
      }
    }
  }
  return table;
}

std::shared_ptr<const delivery::SigningKeys> load_signing_keys(const conf::Config& config,
                                                               const Fail& fail) {
  auto keys = std::make_shared<delivery::SigningKeys>();
  for (std::size_t i = 0; i < config.dkim.size(); ++i) {
    const conf::ReportKey& key = config.dkim[i];
    if (auto loaded = load_dkim_key(key.key_file)) {
      keys->push_back({key.domain, key.selector, std::move(*loaded), message::dkim_mail_fields()});
    } else {
      fail(fmt::format("dkim[{}].key_file", i), loaded.error());
    }
  }
  return keys;
}

}  // namespace

Expected<DeliveryFiles, std::vector<std::string>> load_delivery_files(
    const conf::Config& config, const std::string& config_file) {
  std::vector<std::string> errors;
  const auto fail = [&](const std::string& key, const std::string& reason) {
    const auto line = conf::line_of(file_text(config_file).value_or(""), key);
    errors.push_back(fmt::format("{}:{}: {}: {}", config_file, line, key, reason));
  };
  DeliveryFiles files;
  files.credentials = load_credentials(config, fail);
  files.signing_keys = load_signing_keys(config, fail);
  if (!errors.empty()) {
    return Unexpected<std::vector<std::string>>(std::move(errors));
  }
  return files;
}

std::vector<std::string> exposed_credentials(const conf::Config& config) {
  std::vector<std::string> exposed;
  for (const conf::Route& route : config.routes) {
    for (const conf::Upstream& upstream : route.upstreams) {
      if (!upstream.auth || upstream.auth->send_over == conf::UpstreamAuth::SendOver::verified) {
        continue;
      }
      exposed.push_back(fmt::format(
          "{} at {}:{}: {}", upstream.auth->user, upstream.host, upstream.port,
          upstream.auth->send_over == conf::UpstreamAuth::SendOver::encrypted ? "encrypted"
                                                                              : "plaintext"));
    }
  }
  return exposed;
}

}  // namespace relay
