#include "relay/net/tls_verify.h"

#include <doctest/doctest.h>
#include <openssl/x509_vfy.h>

namespace {

using relay::net::CertificateFault;
using relay::net::CertificateFaultKind;
using relay::net::FaultList;
using relay::net::verify_error_symbol;

TEST_CASE("verification errors are named by OpenSSL's symbols") {
  CHECK(verify_error_symbol(X509_V_ERR_UNSPECIFIED) == "X509_V_ERR_UNSPECIFIED");
  CHECK(verify_error_symbol(10) == "X509_V_ERR_CERT_HAS_EXPIRED");
  CHECK(verify_error_symbol(18) == "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT");
  CHECK(verify_error_symbol(62) == "X509_V_ERR_HOSTNAME_MISMATCH");
  CHECK(verify_error_symbol(94) == "X509_V_ERR_EC_KEY_EXPLICIT_PARAMS");
  CHECK(verify_error_symbol(95) == "X509_V_ERR_95");
  CHECK(verify_error_symbol(0) == "X509_V_ERR_0");
}

TEST_CASE("a fault list keeps the order, drops repeats and what follows from a missing issuer") {
  FaultList list;
  list.add(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, 1);
  list.add(X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, 0);
  list.add(X509_V_ERR_CERT_UNTRUSTED, 0);
  list.add(X509_V_ERR_IP_ADDRESS_MISMATCH, 0);
  list.add(X509_V_ERR_CERT_HAS_EXPIRED, 1);
  list.add(X509_V_ERR_CERT_HAS_EXPIRED, 0);
  list.add(X509_V_ERR_CERT_HAS_EXPIRED, 0);
  const std::vector<CertificateFault> expected = {
      {CertificateFaultKind::not_trusted, "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY@depth1"},
      {CertificateFaultKind::host_mismatch, "X509_V_ERR_IP_ADDRESS_MISMATCH"},
      {CertificateFaultKind::expired, "X509_V_ERR_CERT_HAS_EXPIRED@depth1"},
      {CertificateFaultKind::expired, "X509_V_ERR_CERT_HAS_EXPIRED"},
  };
  CHECK(list.faults() == expected);
}

TEST_CASE("an unverifiable leaf signature counts when nothing else says why") {
  FaultList list;
  list.add(X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, 0);
  CHECK(list.faults().size() == 1);
}

}  // namespace
