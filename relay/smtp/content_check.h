// What a server demands of message content (RFC 5321 §4.5.3.1, RFC 5322 §2), checked as it passes:
// line ends, NUL, line length, size, header size, number of Received fields; and what its header
// section asks for. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "relay/smtp/tls_required_field.h"

namespace relay::smtp {

enum class LineEnds { refuse_bare, normalize_bare };

struct ContentLimits {
  std::uint64_t message_size = 50ULL << 20;  ///< octets
  std::uint64_t header_size = 256ULL << 10;
  std::uint64_t line_length = 998;  ///< without CRLF
  int received_headers = 50;
  LineEnds line_ends = LineEnds::refuse_bare;
};

enum class ContentFault {
  bare_line_end,  ///< a CR or LF that is not part of a CRLF
  nul,
  line_too_long,
  too_large,
  header_too_large,  ///< header_size, or more than 1000 header fields
  loop,              ///< more Received fields than received_headers
};

/// Passes content on while it is without fault, in memory bounded by one header line. A header
/// section that ends without its empty line gets one, because a field is put in front of it.
class ContentCheck {
 public:
  explicit ContentCheck(const ContentLimits& limits) : limits_(limits) {}

  /// Appends what may be kept of slice to out; nothing after a fault.
  void feed(std::string_view slice, std::string& out);
  /// Ends the content; completes an unfinished last line (BDAT).
  void finish(std::string& out);

  /// The first fault found.
  [[nodiscard]] const std::optional<ContentFault>& fault() const { return fault_; }
  [[nodiscard]] bool eight_bit() const { return eight_bit_ || header_eight_bit_; }
  /// Octets over 127 in the header section, which need SMTPUTF8 (RFC 6531 §3.1).
  [[nodiscard]] bool header_eight_bit() const { return header_eight_bit_; }
  /// The header section holds TLS-Required: No (RFC 8689 §3).
  [[nodiscard]] bool tls_not_required() const { return tls_required_.says_no(); }

 private:
  void normalize(std::string_view slice, std::string& out);
  void check(std::string_view slice, std::string& out);
  void check_body(std::string_view slice, std::string& out);
  void check_header_line(std::string& out);
  [[nodiscard]] bool whole_line(std::string_view piece) const;
  void check_octets(std::string_view piece);
  void fail(ContentFault fault);

  ContentLimits limits_;
  std::optional<ContentFault> fault_;
  bool in_header_ = true;
  bool eight_bit_ = false;
  bool header_eight_bit_ = false;
  bool after_cr_ = false;  // the last octet seen was a CR
  bool held_cr_ = false;   // normalize(): a CR not passed on yet
  std::uint64_t size_ = 0;
  std::uint64_t line_ = 0;  // octets of the present body line without its line end
  std::uint64_t header_ = 0;
  int header_fields_ = 0;
  int received_ = 0;
  TlsRequiredField tls_required_;
  std::string header_line_;  // the present header line, with its line end
};

}  // namespace relay::smtp
