#include "relay/message/dkim_key.h"

#include <functional>
#include <memory>
#include <string>

#include <doctest/doctest.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "tests/relay/message/dkim_fixture.h"

namespace {

using relay::message::DkimKey;
using support::dkim_file;
using support::rfc_key;
using support::verifies;
using KeyHandle = std::unique_ptr<EVP_PKEY, support::FreePublicKey>;

// RFC 8463 §A.2.
constexpr const char* kRfcEd25519 = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
constexpr const char* kRfcRsa =
    "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6"
    "Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/"
    "e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G"
    "+2kryOTIKT+l/K4w3QIDAQAB";

struct FreeBio {
  void operator()(BIO* bio) const { BIO_free(bio); }
};

std::string written(const std::function<int(BIO*)>& write) {
  const std::unique_ptr<BIO, FreeBio> bio(BIO_new(BIO_s_mem()));
  REQUIRE(write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

// Converted at most by PKCS#8 and, where a cipher is given, encrypted.
std::string pkcs8(EVP_PKEY* key, const EVP_CIPHER* cipher = nullptr) {
  char word[] = "secret";
  return written([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key, cipher, cipher == nullptr ? nullptr : word,
                                         cipher == nullptr ? 0 : 6, nullptr, nullptr);
  });
}

std::string traditional(EVP_PKEY* key, const EVP_CIPHER* cipher = nullptr) {
  unsigned char word[] = "secret";
  return written([&](BIO* bio) {
    return PEM_write_bio_PrivateKey_traditional(bio, key, cipher,
                                                cipher == nullptr ? nullptr : word,
                                                cipher == nullptr ? 0 : 6, nullptr, nullptr);
  });
}

KeyHandle rsa(std::size_t bits) {
  return KeyHandle(EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", bits));
}

KeyHandle ec() {
  return KeyHandle(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
}

TEST_CASE("keys of RFC 8463 are read and their records are the RFC's") {
  const DkimKey ed25519 = rfc_key("ed25519");
  CHECK(ed25519.kind() == DkimKey::Kind::ed25519);
  CHECK(ed25519.algorithm() == "ed25519");
  CHECK(ed25519.public_record() == kRfcEd25519);
  const DkimKey rsa = rfc_key("rsa");
  CHECK(rsa.kind() == DkimKey::Kind::rsa);
  CHECK(rsa.algorithm() == "rsa");
  CHECK(rsa.bits() == 1024);
  CHECK(rsa.public_record() == kRfcRsa);
}

TEST_CASE("the DNS record names the service only where one is given (RFC 6376 §3.6.1)") {
  const DkimKey key = rfc_key("ed25519");
  CHECK(key.record("") == std::string("v=DKIM1; k=ed25519; p=") + kRfcEd25519);
  CHECK(key.record("tlsrpt") == std::string("v=DKIM1; k=ed25519; s=tlsrpt; p=") + kRfcEd25519);
  CHECK(rfc_key("rsa").record("") == std::string("v=DKIM1; k=rsa; p=") + kRfcRsa);
}

TEST_CASE("a key is read from PKCS#8, PKCS#1, and from among other things") {
  const KeyHandle key = rsa(1024);
  const std::string plain = pkcs8(key.get());
  const auto read = DkimKey::from_pem(plain);
  REQUIRE(read);
  const std::string record = read->public_record();
  for (const std::string& pem :
       {traditional(key.get()), "Subject: a key\n\n" + plain, plain + "\n\n",
        written([&](BIO* bio) { return PEM_write_bio_PUBKEY(bio, key.get()); }) + plain}) {
    CAPTURE(pem);
    const auto same = DkimKey::from_pem(pem);
    REQUIRE(same);
    CHECK(same->public_record() == record);
  }
}

TEST_CASE("what is no key for DKIM is refused with the reason, leaving no OpenSSL error behind") {
  const std::string plain = dkim_file("rfc8463-rsa.pem");
  struct Row {
    std::string pem;
    const char* reason;
  };
  for (const Row& row : {
           Row{"", "no PEM"},
           Row{"hello\n", "no PEM"},
           Row{written([&](BIO* bio) { return PEM_write_bio_PUBKEY(bio, ec().get()); }),
               "no private key"},
           Row{"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "no private key"},
           Row{pkcs8(ec().get(), EVP_aes_128_cbc()), "encrypted"},
           Row{traditional(rsa(1024).get(), EVP_aes_128_cbc()), "encrypted"},
           Row{plain.substr(0, plain.size() / 2), "damaged"},
           Row{std::string(plain).replace(200, 6, "AAAAAA"), "damaged"},
           Row{pkcs8(ec().get()), "of the kind EC"},
           Row{traditional(ec().get()), "of the kind EC"},
           Row{pkcs8(KeyHandle(EVP_PKEY_Q_keygen(nullptr, nullptr, "X25519")).get()),
               "of the kind X25519"},
           Row{pkcs8(rsa(1016).get()), "has 1016 bits"},
       }) {
    CAPTURE(row.pem);
    const auto key = DkimKey::from_pem(row.pem);
    REQUIRE_FALSE(key);
    CHECK_MESSAGE(key.error().find(row.reason) != std::string::npos, key.error());
    CHECK(ERR_peek_error() == 0);
  }
}

TEST_CASE("a new key is as strong as recommended, keeps through PEM and signs") {
  for (const DkimKey::Kind kind : {DkimKey::Kind::rsa, DkimKey::Kind::ed25519}) {
    const DkimKey key = DkimKey::generate(kind);
    CAPTURE(key.algorithm());
    CHECK(key.kind() == kind);
    CHECK(key.bits() >= (kind == DkimKey::Kind::rsa ? 2048 : 253));
    CHECK(key.pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    const auto again = DkimKey::from_pem(key.pem());
    REQUIRE(again);
    CHECK(again->public_record() == key.public_record());
    CHECK(again->pem() == key.pem());
    const std::string signature = key.sign("text");
    CHECK(verifies(key.algorithm(), key.public_record(), "text", signature));
    CHECK_FALSE(verifies(key.algorithm(), key.public_record(), "texT", signature));
    CHECK(again->sign("text") == signature);
    CHECK(DkimKey::generate(kind).public_record() != key.public_record());
  }
}

}  // namespace
