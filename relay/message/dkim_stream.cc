#include "relay/message/dkim_stream.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include <openssl/evp.h>

namespace relay::message {
namespace {

constexpr std::size_t kHashAt = std::size_t{64} * 1024;
constexpr std::string_view kEmptyLine = "\r\n\r\n";

}  // namespace

DkimStream::DkimStream() : digest_(EVP_MD_CTX_new(), EVP_MD_CTX_free) {
  if (digest_ == nullptr || EVP_DigestInit_ex(digest_.get(), EVP_sha256(), nullptr) != 1) {
    throw std::runtime_error("OpenSSL has no SHA-256");
  }
}

DkimStream::~DkimStream() = default;

void DkimStream::add(std::string_view slice) {
  if (in_ == In::body) {
    add_body(slice);
    return;
  }
  const std::size_t seen = header_.size();
  header_ += slice;
  if (header_.starts_with("\r\n")) {  // no field at all
    const std::string body = header_.substr(2);
    header_.clear();
    in_ = In::body;
    add_body(body);
    return;
  }
  // The empty line may be cut into two slices.
  const std::size_t from = seen < kEmptyLine.size() ? 0 : seen - kEmptyLine.size();
  const std::size_t end = header_.find(kEmptyLine, from);
  if (end == std::string::npos) {
    return;
  }
  const std::string body = header_.substr(end + kEmptyLine.size());
  header_.resize(end);
  in_ = In::body;
  add_body(body);
}

void DkimStream::add_body(std::string_view body) {
  for (const char c : body) {
    if (std::exchange(cr_, false)) {
      if (c == '\n') {
        end_line();
        continue;
      }
      put('\r');
    }
    if (c == '\r') {
      cr_ = true;
    } else if (c == ' ' || c == '\t') {
      blank_ = true;
    } else {
      put(c);
    }
  }
}

void DkimStream::put(char c) {
  for (; empty_lines_ > 0; --empty_lines_) {
    pending_ += "\r\n";
  }
  if (std::exchange(blank_, false)) {
    pending_ += ' ';
  }
  pending_ += c;
  text_ = true;
  if (pending_.size() >= kHashAt) {
    hash_pending();
  }
}

void DkimStream::end_line() {
  blank_ = false;
  if (std::exchange(text_, false)) {
    pending_ += "\r\n";
  } else {
    ++empty_lines_;
  }
}

void DkimStream::hash_pending() {
  if (EVP_DigestUpdate(digest_.get(), pending_.data(), pending_.size()) != 1) {
    throw std::runtime_error("OpenSSL cannot hash");
  }
  pending_.clear();
}

std::string DkimStream::body_hash() {
  if (std::exchange(cr_, false)) {
    put('\r');
  }
  if (text_) {
    end_line();
  }
  hash_pending();
  std::string digest(32, '\0');
  if (EVP_DigestFinal_ex(digest_.get(), reinterpret_cast<unsigned char*>(digest.data()), nullptr) !=
      1) {
    throw std::runtime_error("OpenSSL cannot hash");
  }
  return digest;
}

}  // namespace relay::message
