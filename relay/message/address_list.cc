#include "relay/message/address_list.h"

#include <utility>

namespace relay::message {
namespace {

bool is_white(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// One pass over the value; position_ is always at an octet not yet read.
class Scanner {
 public:
  explicit Scanner(std::string_view value) : value_(value) {}

  std::optional<std::vector<ListedAddress>> addresses() {
    while (!failed_ && position_ < value_.size()) {
      take(value_[position_]);
    }
    close_address();
    if (failed_ || in_angle_ || in_group_) {
      return std::nullopt;
    }
    return std::move(found_);
  }

 private:
  void take(char c) {
    switch (c) {
      case '(':
        skip_comment();
        return;
      case '"':
        add(quoted_string());
        return;
      case '<':
        open_angle();
        return;
      case '>':
        close_angle();
        return;
      case ':':
        colon();
        return;
      case ',':
      case ';':
        separator(c);
        return;
      default:
        word(c);
        return;
    }
  }

  // RFC 5322 §3.2.2: comments nest.
  void skip_comment() {
    int depth = 0;
    do {
      const char c = value_[position_++];
      depth += c == '(' ? 1 : c == ')' ? -1 : 0;
      position_ += c == '\\' ? 1U : 0U;
    } while (depth > 0 && position_ < value_.size());
    failed_ = failed_ || depth > 0;
    apart_ = true;
  }

  std::string_view quoted_string() {
    const auto from = position_++;
    while (position_ < value_.size() && value_[position_] != '"') {
      position_ += value_[position_] == '\\' ? 2U : 1U;
    }
    failed_ = failed_ || position_ >= value_.size();
    position_ += failed_ ? 0U : 1U;
    return failed_ ? std::string_view() : value_.substr(from, position_ - from);
  }

  void word(char c) {
    if (is_white(c)) {
      apart_ = true;
      ++position_;
      return;
    }
    const auto from = position_++;
    add(value_.substr(from, 1));
  }

  // Blanks may stand around dots and the @ (RFC 5322 §4.4); between other words they make a name.
  void add(std::string_view text) {
    if (done_) {
      failed_ = true;  // after "<…>" there is nothing but comments
      return;
    }
    const bool joins =
        text == "." || text == "@" || current_.text.ends_with('.') || current_.text.ends_with('@');
    several_words_ = several_words_ || (apart_ && !joins && !current_.text.empty());
    if (current_.text.empty()) {
      current_.begin = position_ - text.size();
    }
    current_.end = position_;
    current_.text.append(text);
    apart_ = false;
  }

  void open_angle() {
    failed_ = failed_ || in_angle_ || done_;
    in_angle_ = true;
    ++position_;
    forget_words();
  }

  void close_angle() {
    failed_ = failed_ || !in_angle_ || several_words_ || current_.text.empty();
    in_angle_ = false;
    done_ = true;
    ++position_;
  }

  void colon() {
    ++position_;
    if (in_angle_) {
      forget_words();  // that was a route: "<@a.example,@b.example:x@c.example>"
    } else {
      failed_ = failed_ || in_group_ || done_ || current_.text.empty();
      in_group_ = true;
      forget_words();
    }
  }

  void separator(char c) {
    ++position_;
    if (in_angle_) {
      return;  // within a route
    }
    close_address();
    if (c == ';') {
      failed_ = failed_ || !in_group_;
      in_group_ = false;
    }
  }

  void close_address() {
    if (!current_.text.empty()) {
      failed_ = failed_ || (several_words_ && !done_);
      found_.push_back(std::exchange(current_, {}));
    }
    forget_words();
    done_ = false;
  }

  void forget_words() {
    current_ = {};
    several_words_ = false;
    apart_ = false;
  }

  std::string_view value_;
  std::size_t position_ = 0;
  std::vector<ListedAddress> found_;
  ListedAddress current_;
  bool apart_ = false;          // a blank or comment came before what comes now
  bool several_words_ = false;  // a name, unless "<" follows
  bool in_angle_ = false;
  bool in_group_ = false;
  bool done_ = false;  // the address was in "<>"
  bool failed_ = false;
};

}  // namespace

std::optional<std::vector<ListedAddress>> parse_address_list(std::string_view value) {
  return Scanner(value).addresses();
}

}  // namespace relay::message
