// A header field put together from words that stay whole: a line is folded before the word that
// would pass column 76, and only there (RFC 5322 §2.2.3). Pure.
#pragma once

#include <string>
#include <string_view>

namespace relay::message {

class FoldedField {
 public:
  /// "Name:", nothing after the colon yet.
  explicit FoldedField(std::string_view name) : text_(name), column_(name.size()) {}

  /// word: without line ends; separator: a blank, or nothing where the field's syntax allows both
  /// nothing and a blank. A fold takes its place.
  void add(std::string_view word, std::string_view separator = " ");
  /// Text that may be folded anywhere (base64).
  void fill(std::string_view text);

  /// Without the CRLF at its end.
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  void fold();

  std::string text_;
  std::size_t column_;
};

}  // namespace relay::message
