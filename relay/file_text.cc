#include "relay/file_text.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

#include <fmt/format.h>

namespace relay {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const noexcept {
    static_cast<void>(std::fclose(file));  // was only read
  }
};

}  // namespace

Expected<std::string, std::string> file_text(const std::string& path) {
  const std::unique_ptr<std::FILE, CloseFile> file(std::fopen(path.c_str(), "re"));
  std::string text;
  std::array<char, 65536> buffer{};
  std::size_t count = file ? buffer.size() : 0;
  while (count == buffer.size()) {
    count = std::fread(buffer.data(), 1, buffer.size(), file.get());
    text.append(buffer.data(), count);
  }
  // A directory can be opened, but not be read.
  if (!file || std::ferror(file.get()) != 0) {
    return Unexpected<std::string>(std::generic_category().message(errno));
  }
  return text;
}

Expected<std::string, std::string> secret_line(const std::string& path) {
  auto text = file_text(path);
  if (!text) {
    return Unexpected<std::string>(fmt::format(
        "{} cannot be read: {}; put the secret there, readable for the user that stsrelay runs as",
        path, text.error()));
  }
  const auto end = text->find_first_of("\r\n");
  const bool more =
      end != std::string::npos && text->find_first_not_of("\r\n", end) != std::string::npos;
  text->resize(std::min(end, text->size()));
  const bool plain =
      !text->empty() && std::ranges::all_of(*text, [](char c) { return c > ' ' && c <= '~'; });
  if (more || !plain) {
    return Unexpected<std::string>(
        fmt::format("{} does not hold one line of printable ASCII without blanks", path));
  }
  return text;
}

}  // namespace relay
