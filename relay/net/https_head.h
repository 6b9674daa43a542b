// The head of an HTTP/1.1 response as it comes in, line by line: what decides whether the body
// that follows can be taken for whole (RFC 9112 §6, §8). Pure. For relay/net only.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace relay::net {

/// Whether the body that follows will be read; when not, what is wrong with it is no fault.
enum class HttpsBodyUse { read, ignored };

class HttpsHead {
 public:
  explicit HttpsHead(HttpsBodyUse use = HttpsBodyUse::read) : use_(use) {}

  /// line: as received, its end included; interim responses are passed over and trailers ignored.
  /// The result says why a successful response must not be read on: "headers-too-large",
  /// "malformed-response", "content-encoding", "content-length", "transfer-encoding".
  [[nodiscard]] std::optional<std::string> take(std::string_view line);

  [[nodiscard]] int status() const { return status_; }  ///< 0 before the first status line
  [[nodiscard]] bool successful() const { return status_ >= 200 && status_ <= 299; }
  /// Whether all of it is there, and it is no interim response's.
  [[nodiscard]] bool finished() const { return complete_ && status_ >= 200; }
  [[nodiscard]] const std::string& content_type() const { return fields_.content_type; }
  [[nodiscard]] const std::string& retry_after() const { return fields_.retry_after; }
  /// Whether the response itself says where its body ends. Otherwise the connection's end does,
  /// and only a close_notify tells that end from a cut (RFC 9112 §9.8).
  [[nodiscard]] bool frames_body() const {
    return fields_.chunked || fields_.content_length.has_value();
  }

 private:
  struct Fields {
    std::string content_type;
    std::string retry_after;
    std::optional<std::string> content_length;
    bool chunked = false;
  };

  [[nodiscard]] std::optional<std::string> take_field(std::string_view name,
                                                      std::string_view value);

  HttpsBodyUse use_;
  std::size_t size_ = 0;
  int status_ = 0;
  bool complete_ = false;
  Fields fields_;  // of the latest status line
};

/// Without blanks at either end.
[[nodiscard]] std::string_view trim(std::string_view text);

}  // namespace relay::net
