#include "tests/relay/net/certificates.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string_view>
#include <unistd.h>

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace support {
namespace {

void require(bool holds, const char* what) {
  if (!holds) {
    throw std::runtime_error(what);
  }
}

using Memory = std::unique_ptr<BIO, decltype(&BIO_free)>;

Memory new_memory() {
  return {BIO_new(BIO_s_mem()), &BIO_free};
}

std::string text_of(const Memory& memory) {
  char* data = nullptr;
  const long size = BIO_ctrl(memory.get(), BIO_CTRL_INFO, 0, &data);
  return {data, static_cast<std::size_t>(size)};
}

void add_extension(X509* certificate, const Certificate* issuer, int id, const std::string& value) {
  X509V3_CTX context{};
  X509* signer = issuer != nullptr ? issuer->get() : certificate;
  X509V3_set_ctx(&context, signer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str()), &X509_EXTENSION_free);
  require(extension && X509_add_ext(certificate, extension.get(), -1) == 1, value.c_str());
}

void set_subject(X509* certificate, const CertificateRequest& request) {
  // Two authorities of one test differ in name even when the test gives none.
  std::uint64_t serial = 0;
  RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1U);
  const std::string organization = "test " + std::to_string(serial);
  X509_NAME* name = X509_get_subject_name(certificate);
  const auto add = [name](const char* field, const std::string& value) {
    X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                               reinterpret_cast<const unsigned char*>(value.c_str()), -1, -1, 0);
  };
  add("O", organization);
  if (!request.common_name.empty()) {
    add("CN", request.common_name);
  }
}

void add_alternative_names(X509* certificate, const CertificateRequest& request,
                           const Certificate* issuer) {
  std::string names;
  const auto add = [&names](std::string_view kind, const std::string& value) {
    names.append(names.empty() ? "" : ",").append(kind).append(value);
  };
  for (const auto& name : request.dns_names) {
    add("DNS:", name);
  }
  for (const auto& address : request.emails) {
    add("email:", address);
  }
  if (!names.empty()) {
    add_extension(certificate, issuer, NID_subject_alt_name, names);
  }
}

}  // namespace

Certificate Certificate::make(const CertificateRequest& request, const Certificate* issuer) {
  Certificate made;
  made.key_.reset(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  made.certificate_.reset(X509_new(), &X509_free);
  require(made.key_ && made.certificate_, "no memory for a certificate");
  X509* certificate = made.get();
  X509_set_version(certificate, X509_VERSION_3);
  set_subject(certificate, request);
  X509_gmtime_adj(X509_getm_notBefore(certificate), request.valid_from.count());
  X509_gmtime_adj(X509_getm_notAfter(certificate), request.valid_until.count());
  X509_set_pubkey(certificate, made.key());
  X509_set_issuer_name(certificate,
                       X509_get_subject_name(issuer != nullptr ? issuer->get() : certificate));
  switch (request.use) {
    case CertificateRequest::Use::authority:
      add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:TRUE");
      add_extension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
      break;
    case CertificateRequest::Use::server:
      add_extension(certificate, issuer, NID_ext_key_usage, "serverAuth");
      break;
    case CertificateRequest::Use::client:
      add_extension(certificate, issuer, NID_ext_key_usage, "clientAuth");
      break;
    case CertificateRequest::Use::ocsp_responder:
      add_extension(certificate, issuer, NID_ext_key_usage, "OCSPSigning");
      break;
  }
  add_alternative_names(certificate, request, issuer);
  if (request.must_staple) {
    add_extension(certificate, issuer, NID_tlsfeature, "status_request");
  }
  EVP_PKEY* signer = issuer != nullptr ? issuer->key() : made.key();
  require(X509_sign(certificate, signer, EVP_sha256()) > 0, "cannot sign a certificate");
  return made;
}

Certificate Certificate::self_signed(const CertificateRequest& request) {
  return make(request, nullptr);
}

Certificate Certificate::issue(const CertificateRequest& request) const {
  return make(request, this);
}

std::string Certificate::pem() const {
  const auto memory = new_memory();
  PEM_write_bio_X509(memory.get(), get());
  return text_of(memory);
}

std::string Certificate::key_pem() const {
  const auto memory = new_memory();
  PEM_write_bio_PrivateKey(memory.get(), key(), nullptr, nullptr, 0, nullptr, nullptr);
  return text_of(memory);
}

TemporaryFile::TemporaryFile(const std::string& content)
    : path_((std::filesystem::temp_directory_path() / "stsrelay-test-XXXXXX").string()) {
  const int fd = ::mkstemp(path_.data());
  const bool written = fd >= 0 && ::write(fd, content.data(), content.size()) ==
                                      static_cast<ssize_t>(content.size());
  if (fd >= 0) {
    ::close(fd);
  }
  require(written, "cannot write a temporary file");
}

TemporaryFile::~TemporaryFile() {
  ::unlink(path_.c_str());
}

}  // namespace support
