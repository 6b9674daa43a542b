// One GET or POST as libcurl sees it: its options, the response as it comes in, and what a result
// code means in the terms of https_client.h.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <curl/curl.h>

#include "relay/net/expected.h"
#include "relay/net/https_client.h"
#include "relay/net/https_head.h"
#include "relay/net/socket_address.h"

struct ssl_st;
struct x509_store_ctx_st;

namespace relay::net {

class HttpsTransfer {
 public:
  using Result = Expected<HttpsResponse, HttpsFailure>;

  /// post: null for a GET; nothing of it is kept but copies.
  HttpsTransfer(const HttpsClientOptions& options, const HttpsRequest& request,
                const HttpsPost* post);
  ~HttpsTransfer();
  HttpsTransfer(const HttpsTransfer&) = delete;
  HttpsTransfer& operator=(const HttpsTransfer&) = delete;

  /// For the multi handle; must be removed from it before the transfer dies.
  [[nodiscard]] CURL* easy() const { return easy_.get(); }
  /// What the transfer came to; the response is moved out.
  [[nodiscard]] Result result(CURLcode code);
  /// The same with what was asked about the peer.
  [[nodiscard]] Result described(Result result);

 private:
  struct FreeEasy {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
  };
  struct FreeShare {
    void operator()(CURLSH* handle) const { curl_share_cleanup(handle); }
  };
  struct FreeList {
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
  };

  template <class Value>
  void set(CURLoption option, Value value);
  void set_request(const HttpsRequest& request);
  void set_limits(const HttpsClientOptions& options);
  void set_trust(const HttpsClientOptions& options);
  void set_callbacks();
  void set_post(const HttpsPost& post);
  void add_field(const std::string& field);

  static std::size_t on_body(const char* bytes, std::size_t size, std::size_t count,
                             void* self) noexcept;
  static std::size_t on_header(const char* bytes, std::size_t size, std::size_t count,
                               void* self) noexcept;
  static curl_socket_t on_socket(void* self, curlsocktype purpose, curl_sockaddr* address) noexcept;
  static CURLcode on_tls_context(CURL* easy, void* context, void* self) noexcept;
  static void on_tls_info(const ssl_st* tls, int where, int value) noexcept;
  static int on_staple(ssl_st* tls, void* self) noexcept;
  static int on_chain(x509_store_ctx_st* verification, void* self) noexcept;

  [[nodiscard]] bool take_header(std::string_view line);
  /// Why a response that libcurl takes for complete is not; null: it is.
  [[nodiscard]] const char* fault_of_complete() const;
  [[nodiscard]] HttpsResponse response();
  [[nodiscard]] HttpsFailure connect_failure() const;
  [[nodiscard]] HttpsFailure timeout_failure() const;
  [[nodiscard]] HttpsFailure certificate_failure() const;
  [[nodiscard]] HttpsFailure tls_failure() const;
  [[nodiscard]] long number(CURLINFO info) const;
  [[nodiscard]] curl_off_t offset(CURLINFO info) const;

  // The share keeps CURLOPT_RESOLVE's entries out of the multi handle, where they would stay.
  std::unique_ptr<CURLSH, FreeShare> share_;
  std::vector<SocketAddress> addresses_;
  std::unique_ptr<curl_slist, FreeList> addresses_as_text_;
  std::unique_ptr<curl_slist, FreeList> fields_;  // of the request, beside libcurl's own
  std::unique_ptr<CURL, FreeEasy> easy_;
  std::string host_;
  DescribeChain chain_;
  Revocation revocation_;
  std::optional<TlsPeerSummary> peer_;
  std::size_t max_body_;
  HttpsBodyUse use_;
  HttpsHead head_;
  bool tls_begun_ = false;
  int alert_ = -1;       // the peer's fatal TLS alert
  bool closed_ = false;  // the peer's close_notify was seen
  std::string body_;
  std::string error_text_;
  std::optional<HttpsFailure> refused_;  // why a callback stopped the transfer
  bool cut_ = false;                     // body beyond the limit in a response that is none of 2xx
};

}  // namespace relay::net
