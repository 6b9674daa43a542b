#include "relay/file_text.h"

#include <array>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <system_error>

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

}  // namespace relay
