// Certificates made at run time, for the servers of tests.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

struct evp_pkey_st;
struct x509_st;

namespace support {

struct CertificateRequest {
  enum class Use { server, client, authority, ocsp_responder };
  std::string common_name{};
  std::vector<std::string> dns_names{};
  std::vector<std::string> emails{};
  Use use = Use::server;
  std::chrono::seconds valid_from = -std::chrono::hours(1);   ///< from now
  std::chrono::seconds valid_until = std::chrono::hours(24);  ///< from now
  bool must_staple = false;                                   ///< TLS feature (RFC 7633)
};

/// A certificate with its private key (EC P-256).
class Certificate {
 public:
  static Certificate self_signed(const CertificateRequest& request);
  [[nodiscard]] Certificate issue(const CertificateRequest& request) const;

  [[nodiscard]] std::string pem() const;
  [[nodiscard]] std::string key_pem() const;
  [[nodiscard]] x509_st* get() const { return certificate_.get(); }
  [[nodiscard]] evp_pkey_st* key() const { return key_.get(); }

 private:
  static Certificate make(const CertificateRequest& request, const Certificate* issuer);
  std::shared_ptr<x509_st> certificate_;
  std::shared_ptr<evp_pkey_st> key_;
};

/// A file with the given content that lives as long as this object.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace support
