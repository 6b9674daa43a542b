// The relaxed body hash of a message that comes in slices (RFC 6376 §3.4.4, §3.7): memory for its
// header and one slice, however large it is.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

struct evp_md_ctx_st;

namespace relay::message {

class DkimStream {
 public:
  DkimStream();
  ~DkimStream();
  DkimStream(const DkimStream&) = delete;
  DkimStream& operator=(const DkimStream&) = delete;

  /// As transmitted, with CRLF, cut anywhere.
  void add(std::string_view slice);
  /// The header without the empty line behind it; complete once that line was seen.
  [[nodiscard]] const std::string& header() const { return header_; }
  /// After everything: SHA-256 of the canonical body, 32 octets.
  [[nodiscard]] std::string body_hash();

 private:
  void add_body(std::string_view body);
  void put(char c);
  void end_line();
  void hash_pending();

  std::string header_;
  enum class In { header, body } in_ = In::header;
  std::unique_ptr<evp_md_ctx_st, void (*)(evp_md_ctx_st*)> digest_;
  std::string pending_;          ///< canonical, not hashed yet
  std::size_t empty_lines_ = 0;  ///< hashed only once something follows them
  bool cr_ = false, blank_ = false, text_ = false;
};

}  // namespace relay::message
