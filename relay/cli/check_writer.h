// Builds the text of `stsrelay check`: headings, labelled rows, and colour where it is wanted.
// Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "relay/cli/check_report.h"

namespace relay::cli {

enum class Style { heading, good, warning, bad, faint };

class Writer {
 public:
  explicit Writer(Colour colour) : colour_(colour) {}

  void heading(std::string_view text) {
    text_ += fmt::format("\n{}\n", paint(Style::heading, text));
  }
  void row(std::string_view label, std::string_view value) {
    text_ += fmt::format("  {:<14} {}\n", label, value);
  }
  void line(std::string_view text) { text_ += fmt::format("{}\n", text); }
  [[nodiscard]] std::string paint(Style style, std::string_view text) const {
    return colour_ == Colour::none ? std::string(text)
                                   : fmt::format("\x1b[{}m{}\x1b[0m", code(style), text);
  }
  [[nodiscard]] std::string take() { return std::move(text_); }

 private:
  static std::string_view code(Style style) {
    switch (style) {
      case Style::heading:
        return "1";
      case Style::good:
        return "32";
      case Style::warning:
        return "33";
      case Style::bad:
        return "31";
      case Style::faint:
        return "2";
    }
    return {};
  }

  Colour colour_;
  std::string text_;
};

}  // namespace relay::cli
