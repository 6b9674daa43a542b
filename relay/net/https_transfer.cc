#include "relay/net/https_transfer.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <iterator>
#include <new>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "relay/net/tls_chain.h"
#include "relay/net/tls_revocation.h"
#include "relay/net/tls_verify.h"

namespace relay::net {
namespace {

using Kind = HttpsFailure::Kind;

constexpr std::ptrdiff_t kMaxAddresses = 8;  // of each family

template <class Handle>
Handle* required(Handle* handle) {
  if (handle == nullptr) {
    throw std::bad_alloc();
  }
  return handle;
}

/// A zone may hold hundreds, and each is tried for a while.
std::vector<SocketAddress> first_of_each_family(const std::vector<SocketAddress>& addresses) {
  std::vector<SocketAddress> kept;
  std::ranges::copy_if(addresses, std::back_inserter(kept), [&kept](const SocketAddress& address) {
    return std::ranges::count(kept, address.family(), &SocketAddress::family) < kMaxAddresses;
  });
  return kept;
}

/// "name:443:192.0.2.1,[2001:db8::1]" (CURLOPT_RESOLVE).
std::string resolve_entry(const HttpsRequest& request,
                          const std::vector<SocketAddress>& addresses) {
  std::string entry = fmt::format("{}:{}:", request.host.text(), request.port);
  for (const SocketAddress& address : addresses) {
    const bool v6 = address.family() == IpFamily::v6;
    entry += fmt::format(fmt::runtime(v6 ? "[{}]," : "{},"), address.ip());
  }
  entry.pop_back();
  return entry;
}

std::string base64(const std::string& text) {
  std::string encoded((text.size() + 2) / 3 * 4 + 1, '\0');
  const auto* octets = reinterpret_cast<const unsigned char*>(text.data());
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(encoded.data()), octets,
                                   static_cast<int>(text.size()));
  encoded.resize(static_cast<std::size_t>(size));
  return encoded;
}

int transfer_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

struct Meaning {
  CURLcode code;
  Kind kind;
  const char* reason;
};
constexpr std::array<Meaning, 10> kMeanings{{
    {CURLE_GOT_NOTHING, Kind::protocol, "empty-reply"},
    {CURLE_PARTIAL_FILE, Kind::protocol, "incomplete-body"},
    {CURLE_RECV_ERROR, Kind::protocol, "connection-lost"},
    {CURLE_SEND_ERROR, Kind::protocol, "connection-lost"},
    {CURLE_WEIRD_SERVER_REPLY, Kind::protocol, "malformed-response"},
    {CURLE_UNSUPPORTED_PROTOCOL, Kind::protocol, "malformed-response"},
    {CURLE_FILESIZE_EXCEEDED, Kind::too_large, "policy-too-large"},
    {CURLE_SSL_CACERT_BADFILE, Kind::tls, "tls-ca-file"},
    {CURLE_SSL_CIPHER, Kind::tls, "tls-cipher"},
    {CURLE_SSL_CERTPROBLEM, Kind::tls, "tls-client-certificate"},
}};

}  // namespace

HttpsTransfer::HttpsTransfer(const HttpsClientOptions& options, const HttpsRequest& request,
                             const HttpsPost* post)
    : share_(required(curl_share_init())),
      addresses_(first_of_each_family(request.addresses)),
      addresses_as_text_(
          required(curl_slist_append(nullptr, resolve_entry(request, addresses_).c_str()))),
      easy_(required(curl_easy_init())),
      host_(request.host.text()),
      chain_(request.chain),
      revocation_(options.revocation),
      max_body_(options.max_body),
      use_(post == nullptr ? HttpsBodyUse::read : HttpsBodyUse::ignored),
      head_(use_),
      error_text_(CURL_ERROR_SIZE, '\0') {
  if (curl_share_setopt(share_.get(), CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) != CURLSHE_OK) {
    throw std::runtime_error("libcurl refuses to share");
  }
  set_request(request);
  set_limits(options);
  set_trust(options);
  set_callbacks();
  if (post != nullptr) {
    set_post(*post);
  }
}

HttpsTransfer::~HttpsTransfer() = default;

template <class Value>
void HttpsTransfer::set(CURLoption option, Value value) {
  if (const CURLcode code = curl_easy_setopt(easy_.get(), option, value); code != CURLE_OK) {
    throw std::runtime_error(
        fmt::format("libcurl option {}: {}", static_cast<int>(option), curl_easy_strerror(code)));
  }
}

void HttpsTransfer::set_request(const HttpsRequest& request) {
  const std::string port = request.port == 443 ? "" : fmt::format(":{}", request.port);
  set(CURLOPT_URL, fmt::format("https://{}{}{}", host_, port, request.path).c_str());
  set(CURLOPT_PATH_AS_IS, 1L);
  set(CURLOPT_SHARE, share_.get());
  set(CURLOPT_RESOLVE, addresses_as_text_.get());
  set(CURLOPT_USERAGENT, "stsrelay");
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_HTTP_CONTENT_DECODING, 0L);
  // RFC 8461 §3.3: no redirects; and nothing that an environment or an earlier answer could add.
  set(CURLOPT_PROTOCOLS_STR, "https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_PROXY, "");
  set(CURLOPT_NOPROXY, "*");
  set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED));
  set(CURLOPT_FRESH_CONNECT, 1L);
  set(CURLOPT_FORBID_REUSE, 1L);
  set(CURLOPT_NOSIGNAL, 1L);
}

void HttpsTransfer::set_limits(const HttpsClientOptions& options) {
  set(CURLOPT_CONNECTTIMEOUT_MS, long{options.connect_timeout.count()});
  set(CURLOPT_TIMEOUT_MS, long{options.total_timeout.count()});
  if (use_ == HttpsBodyUse::read) {  // else the head must come in whole, whatever it announces
    set(CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(options.max_body));
  }
}

void HttpsTransfer::set_trust(const HttpsClientOptions& options) {
  set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
  set(CURLOPT_SSL_VERIFYPEER, 1L);
  set(CURLOPT_SSL_VERIFYHOST, 2L);
  set(CURLOPT_SSL_SESSIONID_CACHE, 0L);
  set(CURLOPT_SSL_OPTIONS, static_cast<long>(CURLSSLOPT_NO_PARTIALCHAIN));
  const char* system_bundle = nullptr;
  curl_easy_getinfo(easy_.get(), CURLINFO_CAINFO, &system_bundle);
  if (!options.ca_file.empty()) {
    set(CURLOPT_CAINFO, options.ca_file.c_str());
  }
  if (!options.ca_file.empty() || system_bundle != nullptr) {
    // A directory beside the bundle would add to a given one, and keep libcurl from reading the
    // bundle once for all transfers.
    set(CURLOPT_CAPATH, static_cast<const char*>(nullptr));
  }
}

void HttpsTransfer::set_callbacks() {
  set(CURLOPT_ERRORBUFFER, error_text_.data());
  set(CURLOPT_WRITEFUNCTION, &HttpsTransfer::on_body);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_HEADERFUNCTION, &HttpsTransfer::on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_OPENSOCKETFUNCTION, &HttpsTransfer::on_socket);
  set(CURLOPT_OPENSOCKETDATA, this);
  set(CURLOPT_SSL_CTX_FUNCTION, &HttpsTransfer::on_tls_context);
  set(CURLOPT_SSL_CTX_DATA, this);
}

void HttpsTransfer::set_post(const HttpsPost& post) {
  set(CURLOPT_POST, 1L);
  set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(post.content.size()));
  set(CURLOPT_COPYPOSTFIELDS, post.content.c_str());
  add_field("Content-Type: " + post.content_type);
  add_field("Expect:");  // none: libcurl would wait for an interim response
  if (!post.userinfo.empty()) {
    // As a field, not as libcurl's user name: from there it would get into a redirect's URL.
    add_field("Authorization: Basic " + base64(post.userinfo));
  }
  if (!post.bearer.empty()) {
    add_field("Authorization: Bearer " + post.bearer);
  }
  set(CURLOPT_HTTPHEADER, fields_.get());
  if (post.certificate == HttpsPost::Certificate::ignored) {
    set(CURLOPT_SSL_VERIFYPEER, 0L);
    set(CURLOPT_SSL_VERIFYHOST, 0L);
  }
}

void HttpsTransfer::add_field(const std::string& field) {
  curl_slist* longer = required(curl_slist_append(fields_.get(), field.c_str()));
  static_cast<void>(fields_.release());
  fields_.reset(longer);
}

std::size_t HttpsTransfer::on_body(const char* bytes, std::size_t size, std::size_t count,
                                   void* self) noexcept {
  auto& transfer = *static_cast<HttpsTransfer*>(self);
  const std::size_t length = size * count;
  if (length <= transfer.max_body_ - transfer.body_.size()) {
    transfer.body_.append(bytes, length);
    return length;
  }
  if (transfer.head_.successful() && transfer.use_ == HttpsBodyUse::read) {
    transfer.refused_ = HttpsFailure{Kind::too_large, "policy-too-large"};
  }
  transfer.cut_ = true;
  return CURL_WRITEFUNC_ERROR;
}

std::size_t HttpsTransfer::on_header(const char* bytes, std::size_t size, std::size_t count,
                                     void* self) noexcept {
  auto& transfer = *static_cast<HttpsTransfer*>(self);
  const std::size_t length = size * count;
  return transfer.take_header({bytes, length}) ? length : CURL_WRITEFUNC_ERROR;
}

bool HttpsTransfer::take_header(std::string_view line) {
  if (auto fault = head_.take(line)) {
    refused_ = HttpsFailure{Kind::protocol, std::move(*fault)};
  }
  return !refused_;
}

curl_socket_t HttpsTransfer::on_socket(void* self, curlsocktype /*purpose*/,
                                       curl_sockaddr* address) noexcept {
  const auto& allowed = static_cast<const HttpsTransfer*>(self)->addresses_;
  const auto target = SocketAddress::from_sockaddr(&address->addr, address->addrlen);
  const bool given = target && std::ranges::any_of(allowed, [&](const SocketAddress& one) {
                       return one.ip() == target->ip();
                     });
  return given ? socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol)
               : CURL_SOCKET_BAD;
}

CURLcode HttpsTransfer::on_tls_context(CURL* /*easy*/, void* context, void* self) noexcept {
  auto* const tls = static_cast<SSL_CTX*>(context);
  auto& transfer = *static_cast<HttpsTransfer*>(self);
  const std::string& host = transfer.host_;
  transfer.tls_begun_ = true;
  // libcurl alone would accept a common name; RFC 8461 §3.3 wants a DNS-ID.
  X509_VERIFY_PARAM* rules = SSL_CTX_get0_param(tls);
  X509_VERIFY_PARAM_set_hostflags(
      rules, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (X509_VERIFY_PARAM_set1_host(rules, host.data(), host.size()) != 1 ||
      SSL_CTX_set_ex_data(tls, transfer_index(), self) != 1) {
    return CURLE_OUT_OF_MEMORY;
  }
  SSL_CTX_set_info_callback(tls, &HttpsTransfer::on_tls_info);
  if (transfer.chain_ == DescribeChain::yes) {
    SSL_CTX_set_cert_verify_callback(tls, &HttpsTransfer::on_chain, self);
  }
  if (transfer.revocation_ == Revocation::stapled && !check_staples(tls, &on_staple, self)) {
    return CURLE_OUT_OF_MEMORY;
  }
  return CURLE_OK;
}

void HttpsTransfer::on_tls_info(const ssl_st* tls, int where, int value) noexcept {
  const bool alert_read = (where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT;
  if (!alert_read) {
    return;
  }
  void* self = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(tls), transfer_index());
  auto& transfer = *static_cast<HttpsTransfer*>(self);
  const int alert = value & 0xff;
  if (alert == SSL3_AD_CLOSE_NOTIFY) {
    transfer.closed_ = true;
  } else if ((value >> 8) == SSL3_AL_FATAL) {
    transfer.alert_ = alert;
  }
}

int HttpsTransfer::on_staple(ssl_st* tls, void* self) noexcept {
  const StapleVerdict staple = judge_staple(tls, verified_issuer(tls));
  if (staple.error == X509_V_OK) {
    return 1;
  }
  static_cast<HttpsTransfer*>(self)->refused_ =
      HttpsFailure{Kind::certificate, verify_error_symbol(staple.error)};
  return 0;
}

int HttpsTransfer::on_chain(x509_store_ctx_st* verification, void* self) noexcept {
  static_cast<HttpsTransfer*>(self)->peer_ = peer_summary(verification);
  return X509_verify_cert(verification);
}

HttpsTransfer::Result HttpsTransfer::described(Result result) {
  auto& peer = result ? result->peer : result.error().peer;
  peer = std::move(peer_);
  return result;
}

HttpsTransfer::Result HttpsTransfer::result(CURLcode code) {
  if (refused_) {
    return Unexpected<HttpsFailure>(std::move(*refused_));
  }
  // A long error page must not hide its status.
  cut_ = cut_ || code == CURLE_FILESIZE_EXCEEDED;
  const bool answered = code == CURLE_OK || (use_ == HttpsBodyUse::ignored && head_.finished());
  if (const char* fault = answered ? fault_of_complete() : nullptr) {
    return Unexpected<HttpsFailure>(HttpsFailure{Kind::protocol, fault});
  }
  if (answered || (cut_ && !head_.successful())) {
    return response();
  }
  if (code == CURLE_COULDNT_CONNECT) {
    return Unexpected<HttpsFailure>(connect_failure());
  }
  if (code == CURLE_OPERATION_TIMEDOUT) {
    return Unexpected<HttpsFailure>(timeout_failure());
  }
  if (code == CURLE_PEER_FAILED_VERIFICATION) {
    return Unexpected<HttpsFailure>(certificate_failure());
  }
  if (code == CURLE_SSL_CONNECT_ERROR) {
    return Unexpected<HttpsFailure>(tls_failure());
  }
  const auto* const meaning = std::ranges::find(kMeanings, code, &Meaning::code);
  if (meaning != kMeanings.end()) {
    return Unexpected<HttpsFailure>(HttpsFailure{meaning->kind, meaning->reason});
  }
  return Unexpected<HttpsFailure>(
      HttpsFailure{Kind::protocol, fmt::format("curl-{}", static_cast<int>(code))});
}

const char* HttpsTransfer::fault_of_complete() const {
  if (head_.status() != number(CURLINFO_RESPONSE_CODE)) {
    return "malformed-response";
  }
  // libcurl takes any end of the connection for the body's end, one made by an attacker, too.
  return use_ == HttpsBodyUse::read && head_.status() == 200 && !head_.frames_body() && !closed_
             ? "incomplete-body"
             : nullptr;
}

HttpsResponse HttpsTransfer::response() {
  const char* target = nullptr;
  curl_easy_getinfo(easy_.get(), CURLINFO_REDIRECT_URL, &target);
  return HttpsResponse{static_cast<int>(number(CURLINFO_RESPONSE_CODE)), head_.content_type(),
                       cut_ ? "" : std::move(body_), target == nullptr ? "" : target,
                       head_.retry_after()};
}

HttpsFailure HttpsTransfer::connect_failure() const {
  switch (number(CURLINFO_OS_ERRNO)) {
    case ECONNREFUSED:
      return {Kind::connect, "connection-refused"};
    case ETIMEDOUT:
      return {Kind::connect, "connect-timeout"};
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
      return {Kind::connect, "unreachable"};
    default:
      return {Kind::connect, "connect-failed"};
  }
}

HttpsFailure HttpsTransfer::timeout_failure() const {
  if (!tls_begun_) {
    return {Kind::connect, "connect-timeout"};
  }
  if (offset(CURLINFO_APPCONNECT_TIME_T) == 0) {
    return {Kind::timeout, "handshake-timeout"};
  }
  return {Kind::timeout, "timeout"};
}

HttpsFailure HttpsTransfer::certificate_failure() const {
  const long code = number(CURLINFO_SSL_VERIFYRESULT);
  // No fault in the chain: libcurl's own comparison of the name was stricter than OpenSSL's.
  return {Kind::certificate, verify_error_symbol(code == X509_V_OK ? X509_V_ERR_HOSTNAME_MISMATCH
                                                                   : static_cast<int>(code))};
}

HttpsFailure HttpsTransfer::tls_failure() const {
  if (alert_ >= 0) {
    return {Kind::tls, fmt::format("tls-alert-{}", alert_)};
  }
  // "… error:0A000102:SSL routines::unsupported protocol"
  const std::string_view text = error_text_.c_str();
  const std::size_t at = text.rfind("::");
  if (at == std::string_view::npos) {
    return {Kind::tls, "tls-connection-lost"};
  }
  std::string reason = fmt::format("tls-{}", trim(text.substr(at + 2)));
  std::ranges::replace_if(
      reason, [](char c) { return c <= ' ' || c > '~'; }, '-');
  return {Kind::tls, std::move(reason)};
}

long HttpsTransfer::number(CURLINFO info) const {
  long value = 0;
  curl_easy_getinfo(easy_.get(), info, &value);
  return value;
}

curl_off_t HttpsTransfer::offset(CURLINFO info) const {
  curl_off_t value = 0;
  curl_easy_getinfo(easy_.get(), info, &value);
  return value;
}

}  // namespace relay::net
