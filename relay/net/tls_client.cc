#include "relay/net/tls_client.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <utility>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "relay/net/handles.h"
#include "relay/net/tls_client_session.h"
#include "relay/net/tls_dane.h"
#include "relay/net/tls_revocation.h"
#include "relay/net/tls_verify.h"

namespace relay::net {
namespace {

constexpr std::size_t kTicketsPerKey = 4;

// What the context allows; each session then sets its own floor (tls_client_session).
constexpr const char* kCiphers = "DEFAULT:!aNULL:!eNULL";

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

Expected<void, std::string> load_anchors(SSL_CTX* context, const std::string& ca_file) {
  if (ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(context) != 1) {
      return Unexpected<std::string>("the system's trust store: " + tls_library_error());
    }
    return {};
  }
  if (!std::ifstream(ca_file)) {
    return Unexpected<std::string>(ca_file + ": " + system_message(errno));
  }
  ERR_clear_error();
  if (SSL_CTX_load_verify_file(context, ca_file.c_str()) != 1) {
    return Unexpected<std::string>(ca_file + ": no CA certificates in PEM form (" +
                                   tls_library_error() + ")");
  }
  return {};
}

}  // namespace

std::optional<ResumableSession> TlsSessionCache::take(const std::string& key, WallTime now) {
  for (auto found = by_key_.find(key); found != by_key_.end(); found = by_key_.find(key)) {
    const auto newest = found->second.back();
    ResumableSession session = std::move(newest->session);
    forget(newest);
    if (session.usable_until > now) {
      return session;
    }
  }
  return std::nullopt;
}

void TlsSessionCache::put(const std::string& key, ResumableSession session) {
  if (capacity_ == 0) {
    return;
  }
  if (const auto found = by_key_.find(key);
      found != by_key_.end() && found->second.size() >= kTicketsPerKey) {
    forget(found->second.front());
  } else if (entries_.size() >= capacity_) {
    forget(std::prev(entries_.end()));
  }
  entries_.push_front({key, std::move(session)});
  by_key_[key].push_back(entries_.begin());
}

void TlsSessionCache::clear() {
  by_key_.clear();
  entries_.clear();
}

void TlsSessionCache::forget(Entries::iterator entry) {
  const auto found = by_key_.find(entry->key);
  std::erase(found->second, entry);
  if (found->second.empty()) {
    by_key_.erase(found);
  }
  entries_.erase(entry);
}

Expected<std::shared_ptr<TlsClientContext>, std::string> TlsClientContext::create(
    const std::string& ca_file, Revocation revocation) {
  std::unique_ptr<SSL_CTX, FreeContext> context(SSL_CTX_new(TLS_client_method()));
  if (!context || SSL_CTX_set_cipher_list(context.get(), kCiphers) != 1 ||
      SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION) != 1 ||
      !allow_dane(context.get()) ||
      (revocation == Revocation::stapled && !request_staples(context.get()))) {
    return Unexpected<std::string>("cannot set up TLS: " + tls_library_error());
  }
  if (auto loaded = load_anchors(context.get(), ca_file); !loaded) {
    return Unexpected<std::string>(std::move(loaded.error()));
  }
  // A close without close_notify is an end of stream like any other: SMTP frames its own end.
  SSL_CTX_set_options(context.get(), SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
  collect_faults(context.get());
  TlsClientSession::collect_tickets(context.get());
  return std::shared_ptr<TlsClientContext>(new TlsClientContext(context.release(), revocation));
}

TlsClientContext::~TlsClientContext() {
  SSL_CTX_free(context_);
}

}  // namespace relay::net
