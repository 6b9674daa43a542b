// Content through DotStuffer and back: it ends where it was ended and nowhere else, in any cut.
#include "relay/smtp/dot_stuffing.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace {

std::string stuff(std::string_view content, std::size_t cut) {
  relay::smtp::DotStuffer stuffer;
  std::string wire;
  for (std::size_t at = 0; at < content.size(); at += cut) {
    stuffer.stuff(content.substr(at, cut), wire);
  }
  stuffer.finish(wire);
  return wire;
}

/// The content, and in left how many octets follow its end (npos: no end).
std::string unstuff(std::string_view wire, std::size_t cut, std::size_t& left) {
  relay::smtp::DotUnstuffer unstuffer;
  std::string content;
  left = std::string::npos;
  for (std::size_t at = 0; at < wire.size(); at += cut) {
    auto piece = wire.substr(at, cut);
    if (unstuffer.feed(piece, content)) {
      left = piece.size() + (wire.size() - std::min(at + cut, wire.size()));
      break;
    }
  }
  return content;
}

bool canonical(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if ((text[i] == '\n' && (i == 0 || text[i - 1] != '\r')) ||
        (text[i] == '\r' && (i + 1 == text.size() || text[i + 1] != '\n'))) {
      return false;
    }
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string content(data, data + size);
  const auto wire = stuff(content, content.size() + 1);
  if (!canonical(wire) || stuff(content, 1) != wire || stuff(content, 3) != wire) {
    std::abort();
  }
  std::size_t left = 0;
  const auto back = unstuff(wire, wire.size(), left);
  // A second pass changes nothing: the first made every line end CRLF.
  if (left != 0 || stuff(back, 7) != wire) {
    std::abort();
  }
  std::size_t left_whole = 0;
  std::size_t left_cut = 0;
  if (unstuff(content, content.size() + 1, left_whole) != unstuff(content, 1, left_cut) ||
      left_whole != left_cut) {
    std::abort();
  }
  return 0;
}
