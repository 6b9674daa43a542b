#include <doctest/doctest.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "relay/net/tls_client.h"
#include "tests/relay/net/tls_fixture.h"

namespace {

using support::kHost;
using support::new_authority;
using support::options_for;
using support::shake_hands;
using support::text_of;
using support::TlsServer;
using support::trusting;

TEST_CASE("a chain that nothing was found out about is not verified") {
  const auto authority = new_authority();
  const auto context = trusting(authority);
  const TlsServer server(authority.issue({.dns_names = {kHost}}), {});
  SUBCASE("the verification breaks off without a fault") {
    X509_STORE_set_verify(SSL_CTX_get_cert_store(context->get()),
                          [](X509_STORE_CTX* /*store*/) { return 0; });
  }
  SUBCASE("there is no verification at all") {
    SSL_CTX_set_cert_verify_callback(
        context->get(), [](X509_STORE_CTX* /*store*/, void* /*unused*/) { return 0; }, nullptr);
  }
  CHECK(text_of(shake_hands(server.address(), *context, options_for(kHost))) ==
        "unverified untrusted:not-verified");
}

}  // namespace
