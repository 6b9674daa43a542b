// What the sendmail command makes of a message before it is handed to the daemon: its header
// section and whom it goes to. Pure.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/cli/sendmail_options.h"
#include "relay/net/expected.h"

namespace relay::cli {

/// Lines of a text, whether they end in LF or CRLF, in any cut.
class TextLines {
 public:
  void receive(std::string_view bytes) { text_.append(bytes); }
  /// Without its end. at_end: nothing follows, so that an unfinished line counts.
  enum class Input { goes_on, at_end };
  [[nodiscard]] std::optional<std::string> next(Input input);
  [[nodiscard]] std::size_t waiting() const { return text_.size() - taken_; }

 private:
  std::string text_;
  std::size_t taken_ = 0;
};

/// Takes the lines of a header section, and knows where it ends.
class HeaderLines {
 public:
  enum class Next { more, body };
  /// body: the header section is over, and line is not part of it. An empty line only parts the
  /// two, any other is the body's first.
  [[nodiscard]] Next take(std::string line);
  [[nodiscard]] std::vector<std::string> fields() { return std::move(fields_); }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  std::vector<std::string> fields_;  // folded ones with CRLF in them
  std::size_t size_ = 0;
  bool first_ = true;
};

/// Who calls.
struct Submitter {
  std::string login;      ///< "root"
  std::string full_name;  ///< may be empty
  std::string hostname;   ///< for addresses without a domain
};

struct Submission {
  std::string sender;  ///< "": null
  std::vector<std::string> recipients;
  std::string header;  ///< with CRLF at each line's end, without the empty line
};

/// fields: as HeaderLines gives them. The error is for the caller, as a sentence (EX_DATAERR).
[[nodiscard]] Expected<Submission, std::string> prepare_submission(
    const std::vector<std::string>& fields, const SendmailOptions& options,
    const Submitter& submitter);

}  // namespace relay::cli
