// What a DKIM signature is computed over: the canonicalizations (RFC 6376 §3.4) and the choice of
// header fields (§3.7, §5.4.2). Pure. Text is as transmitted, with CRLF.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace relay::message {

/// A message taken apart; both refer to its text.
struct MessageParts {
  std::vector<std::string_view> fields;  ///< with their folds, without their last CRLF
  std::string_view body;
};
[[nodiscard]] MessageParts message_parts(std::string_view message);

/// The name before the colon, as written.
[[nodiscard]] std::string_view field_name(std::string_view field);

/// "subject:text", without a CRLF.
[[nodiscard]] std::string relaxed_field(std::string_view field);
[[nodiscard]] std::string relaxed_body(std::string_view body);
/// RFC 6376 §3.4.3: as it is, but without empty lines at its end, and with one CRLF there.
[[nodiscard]] std::string simple_body(std::string_view body);

enum class Canonicalization { relaxed, simple };

/// names: as in h=; the n-th mention of a name means the n-th field of it from below, none when
/// there are fewer. signature: the DKIM-Signature field, its b= empty. how: that of the header.
[[nodiscard]] std::string signing_input(const std::vector<std::string_view>& fields,
                                        const std::vector<std::string>& names,
                                        std::string_view signature,
                                        Canonicalization how = Canonicalization::relaxed);

}  // namespace relay::message
