#include "relay/listener_files.h"

#include <cerrno>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "relay/file_text.h"

namespace relay {
namespace {

/// A setting whose file cannot be used.
struct FileFault {
  std::string key;  ///< below the listener: "tls.certificate"
  std::string reason;
};

std::string key_of(net::TlsServerFault::Part part) {
  switch (part) {
    case net::TlsServerFault::Part::certificate:
      return "tls.certificate";
    case net::TlsServerFault::Part::key:
      return "tls.key";
    case net::TlsServerFault::Part::client_ca:
      return "tls.client_ca";
  }
  return "tls";
}

Expected<std::shared_ptr<net::TlsServerContext>, FileFault> load_tls(
    const conf::Listener& listener) {
  const conf::ListenerTls& tls = listener.tls;
  if (tls.mode == conf::ListenerTls::Mode::none) {
    return nullptr;
  }
  net::TlsServerOptions options;
  options.certificate_file = tls.certificate;
  options.key_file = tls.key;
  options.minimum_version = tls.minimum_version == conf::ListenerTls::Version::tls13
                                ? net::TlsServerVersion::tls13
                                : net::TlsServerVersion::tls12;
  options.client_ca_file = tls.client_ca;
  if (!tls.client_ca.empty() || !listener.allow_certificates.empty()) {
    options.client_certificate = net::AskForCertificate::yes;
  }
  auto context = net::TlsServerContext::create(options);
  if (!context) {
    return Unexpected<FileFault>(
        FileFault{key_of(context.error().part), std::move(context.error().reason)});
  }
  return *std::move(context);
}

Expected<std::shared_ptr<const reception::Users>, FileFault> load_users(
    const conf::Listener& listener) {
  const std::string& file = listener.auth.users;
  if (file.empty()) {
    return nullptr;
  }
  const auto text = file_text(file);
  if (!text) {
    return Unexpected<FileFault>(
        FileFault{"auth.users", fmt::format("{} cannot be read: {}", file, text.error())});
  }
  auto users = reception::Users::parse(*text);
  if (!users) {
    std::string reason;
    for (const auto& fault : users.error()) {
      reason +=
          fmt::format("{}{}:{}: {}", reason.empty() ? "" : "; ", file, fault.line, fault.reason);
    }
    return Unexpected<FileFault>(FileFault{"auth.users", std::move(reason)});
  }
  return std::make_shared<const reception::Users>(*std::move(users));
}

Expected<reception::ListenerFiles, FileFault> load(const conf::Listener& listener) {
  auto tls = load_tls(listener);
  if (!tls) {
    return Unexpected<FileFault>(std::move(tls.error()));
  }
  auto users = load_users(listener);
  if (!users) {
    return Unexpected<FileFault>(std::move(users.error()));
  }
  return reception::ListenerFiles{*std::move(tls), *std::move(users)};
}

// After the start it is the account, not root, that reads the files again.
std::string remedy(const conf::Config& config, const std::string& reason) {
  const bool denied = reason.ends_with(std::generic_category().message(EACCES));
  return denied && !config.user.empty()
             ? fmt::format("; the account {} must be able to read it", config.user)
             : std::string();
}

}  // namespace

Expected<std::vector<reception::ListenerFiles>, std::vector<std::string>> load_listener_files(
    const conf::Config& config, const std::string& config_file) {
  std::vector<reception::ListenerFiles> files;
  std::vector<std::string> errors;
  for (std::size_t i = 0; i < config.listen.size(); ++i) {
    if (auto loaded = load(config.listen[i])) {
      files.push_back(std::move(*loaded));
    } else {
      const auto key = fmt::format("listen[{}].{}", i, loaded.error().key);
      const auto line = conf::line_of(file_text(config_file).value_or(""), key);
      const auto& reason = loaded.error().reason;
      errors.push_back(
          fmt::format("{}:{}: {}: {}{}", config_file, line, key, reason, remedy(config, reason)));
    }
  }
  if (!errors.empty()) {
    return Unexpected<std::vector<std::string>>(std::move(errors));
  }
  return files;
}

}  // namespace relay
