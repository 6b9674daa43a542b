#include "tests/relay/net/staples.h"

#include <memory>
#include <stdexcept>

#include <openssl/asn1.h>
#include <openssl/ocsp.h>

namespace support {
namespace {

struct FreeTime {
  void operator()(ASN1_TIME* time) const { ASN1_TIME_free(time); }
};
using Time = std::unique_ptr<ASN1_TIME, FreeTime>;

Time from_now(std::chrono::seconds after) {
  Time time(ASN1_GENERALIZEDTIME_new());
  X509_gmtime_adj(time.get(), after.count());
  return time;
}

std::string to_der(OCSP_RESPONSE* owned) {
  const std::unique_ptr<OCSP_RESPONSE, decltype(&OCSP_RESPONSE_free)> response(owned,
                                                                               &OCSP_RESPONSE_free);
  std::string der(static_cast<std::size_t>(i2d_OCSP_RESPONSE(response.get(), nullptr)), '\0');
  auto* end = reinterpret_cast<unsigned char*>(der.data());
  i2d_OCSP_RESPONSE(response.get(), &end);
  return der;
}

int code_of(StapleRequest::Status status) {
  switch (status) {
    case StapleRequest::Status::good:
      return V_OCSP_CERTSTATUS_GOOD;
    case StapleRequest::Status::revoked:
      return V_OCSP_CERTSTATUS_REVOKED;
    case StapleRequest::Status::unknown:
      break;
  }
  return V_OCSP_CERTSTATUS_UNKNOWN;
}

}  // namespace

std::string make_staple(const Certificate& subject, const Certificate& issuer,
                        const Certificate& signer, const StapleRequest& request) {
  const std::unique_ptr<OCSP_BASICRESP, decltype(&OCSP_BASICRESP_free)> basic(OCSP_BASICRESP_new(),
                                                                              &OCSP_BASICRESP_free);
  const std::unique_ptr<OCSP_CERTID, decltype(&OCSP_CERTID_free)> id(
      OCSP_cert_to_id(EVP_sha1(), subject.get(), issuer.get()), &OCSP_CERTID_free);
  const Time since = from_now(request.since);
  const Time until = request.until ? from_now(*request.until) : nullptr;
  const Time revoked = from_now(-std::chrono::hours(24 * 365));
  if (OCSP_basic_add1_status(basic.get(), id.get(), code_of(request.status),
                             OCSP_REVOKED_STATUS_KEYCOMPROMISE, revoked.get(), since.get(),
                             until.get()) == nullptr ||
      OCSP_basic_sign(basic.get(), signer.get(), signer.key(), EVP_sha256(), nullptr, 0) != 1) {
    throw std::runtime_error("cannot make an OCSP response");
  }
  return to_der(OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic.get()));
}

std::string no_answer() {
  return to_der(OCSP_response_create(OCSP_RESPONSE_STATUS_TRYLATER, nullptr));
}

}  // namespace support
