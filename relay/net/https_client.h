// HTTPS without the web: one request on a fresh verified connection, no redirects, cookies, proxy,
// netrc, Alt-Svc, HSTS or content decoding (RFC 8461 §3.3). libcurl multi on one event loop.
// GET is for bodies that must be whole; POST is for handing something over (RFC 8460 §5.4).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "relay/net/certificate_summary.h"
#include "relay/net/domain_name.h"
#include "relay/net/event_loop.h"
#include "relay/net/expected.h"
#include "relay/net/operation.h"
#include "relay/net/revocation.h"
#include "relay/net/socket_address.h"

namespace relay::net {

struct HttpsClientOptions {
  std::string ca_file;  ///< PEM bundle; empty: the system's
  std::chrono::milliseconds connect_timeout{10000};
  std::chrono::milliseconds total_timeout{60000};
  std::size_t max_body = std::size_t{64} * 1024;
  Revocation revocation = Revocation::stapled;
};

struct HttpsRequest {
  DomainName host;  ///< URL host, SNI, Host header and reference name
  std::uint16_t port = 443;
  std::string path;
  /// Resolved by the caller; both families are raced, the first 8 of each.
  std::vector<SocketAddress> addresses;
  DescribeChain chain = DescribeChain::no;
};

/// What is handed over, and how.
struct HttpsPost {
  enum class Certificate { verified, ignored };

  std::string content;
  std::string content_type;
  std::string userinfo{};  ///< "user:password" for Basic (RFC 7617), decoded; never to be logged
  std::string bearer{};    ///< token for Bearer (RFC 6750); never to be logged
  /// RFC 8460 §3 lets reporters ignore errors in the certificate.
  Certificate certificate = Certificate::verified;
};

struct HttpsResponse {
  int status = 0;
  std::string content_type;   ///< as sent; empty when absent
  std::string body;           ///< complete, at most max_body; dropped when longer and not 2xx
  std::string location{};     ///< of a redirect, which is not followed: absolute, any scheme
  std::string retry_after{};  ///< as sent; empty when absent
  std::optional<TlsPeerSummary> peer{};  ///< only if asked for
};

struct HttpsFailure {
  enum class Kind { connect, timeout, tls, certificate, too_large, protocol };
  Kind kind;
  std::string
      reason;  ///< short code: "connection-refused", "timeout", "X509_V_ERR_CERT_HAS_EXPIRED"
  std::optional<TlsPeerSummary> peer{};  ///< only if asked for; its certificates were shown
};

class HttpsClient {
 public:
  using Callback = std::function<void(Expected<HttpsResponse, HttpsFailure>)>;
  HttpsClient(EventLoop& loop, HttpsClientOptions options);
  ~HttpsClient();
  HttpsClient(const HttpsClient&) = delete;
  HttpsClient& operator=(const HttpsClient&) = delete;

  /// GET; any complete response is a response, whatever its status.
  Operation get(const HttpsRequest& request, Callback done);
  /// POST; a complete head is a response, whatever becomes of the body behind it: the peer has
  /// decided. The response's body is empty when it is longer than max_body.
  Operation post(const HttpsRequest& request, const HttpsPost& post, Callback done);
  /// Requests from now on read ca_file anew, which libcurl would keep for a day, and check
  /// certificates so.
  void renew_trust(Revocation revocation);

 private:
  Operation ask(const HttpsRequest& request, const HttpsPost* post, Callback done);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace relay::net
