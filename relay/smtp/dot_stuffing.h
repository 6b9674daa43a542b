// Transparency of message content (RFC 5321 §4.5.2), both directions, for slices of any cut. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace relay::smtp {

/// Content to wire. The only writer of message content to a peer: whatever comes in, nothing but
/// CRLF line ends goes out (a stray CR or LF becomes CRLF), so that no next hop can be made to see
/// an end of data that is not ours.
class DotStuffer {
 public:
  /// chunks: for BDAT (RFC 3030), where no dot is doubled and none ends the data.
  enum class Content { data, chunks };
  DotStuffer() = default;
  explicit DotStuffer(Content content) : content_(content) {}

  /// Appends slice, stuffed, to out.
  void stuff(std::string_view slice, std::string& out);
  /// Appends the end of data, completing an unfinished line first; ready for a new message then.
  void finish(std::string& out);

 private:
  void stuff_line(std::string_view line, std::string& out);

  Content content_ = Content::data;
  bool line_start_ = true;
  bool held_cr_ = false;  // a CR at the end of the last slice, not written yet
};

/// Wire to content. Only CRLF.CRLF ends the data (and .CRLF at its very start); a lone dot between
/// any other line ends is content. Line ends pass unchanged: judging them is ContentCheck's work.
class DotUnstuffer {
 public:
  /// Consumes from bytes, at most to the end of the data; appends content to out. Returns true
  /// once the end was seen; bytes then begins with what the client sent after it.
  [[nodiscard]] bool feed(std::string_view& bytes, std::string& out);

 private:
  enum class State { line_start, dot, dot_cr, text, text_cr };

  void after_text(std::string_view& bytes, std::string& out);

  State state_ = State::line_start;
};

}  // namespace relay::smtp
