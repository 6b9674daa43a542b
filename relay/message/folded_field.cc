#include "relay/message/folded_field.h"

namespace relay::message {
namespace {

constexpr std::size_t kWidth = 76;

}  // namespace

void FoldedField::add(std::string_view word, std::string_view separator) {
  if (column_ + separator.size() + word.size() > kWidth) {
    fold();
  } else {
    text_ += separator;
    column_ += separator.size();
  }
  text_ += word;
  column_ += word.size();
}

void FoldedField::fill(std::string_view text) {
  while (!text.empty()) {
    if (column_ >= kWidth) {
      fold();
    }
    const std::string_view piece = text.substr(0, kWidth - column_);
    text_ += piece;
    column_ += piece.size();
    text.remove_prefix(piece.size());
  }
}

void FoldedField::fold() {
  text_ += "\r\n ";
  column_ = 1;
}

}  // namespace relay::message
