#include "relay/cli/key_file.h"

#include <cerrno>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

namespace relay::cli {
namespace {

class NewFile {
 public:
  explicit NewFile(const std::string& path)
      : path_(path),
        // NOLINTNEXTLINE(cppcoreguidelines-pro-type-vararg,hicpp-vararg): the system's signature
        descriptor_(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                           S_IRUSR | S_IWUSR)) {}
  ~NewFile() {
    if (descriptor_ >= 0) {
      ::close(descriptor_);
      if (!complete_) {
        ::unlink(path_.c_str());
      }
    }
  }
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  [[nodiscard]] bool is_open() const { return descriptor_ >= 0; }
  [[nodiscard]] bool fill(std::string_view content, const std::optional<Account>& owner) {
    while (!content.empty()) {
      const ssize_t written = ::write(descriptor_, content.data(), content.size());
      if (written < 0) {
        return false;
      }
      content.remove_prefix(static_cast<std::size_t>(written));
    }
    complete_ =
        (!owner || ::fchown(descriptor_, owner->uid, owner->gid) == 0) && ::fsync(descriptor_) == 0;
    return complete_;
  }

 private:
  const std::string& path_;
  int descriptor_;
  bool complete_ = false;
};

}  // namespace

Expected<void, std::string> write_key_file(const std::string& path, std::string_view content,
                                           const std::optional<Account>& owner) {
  NewFile file(path);
  if (!file.is_open() || !file.fill(content, owner)) {
    return Unexpected<std::string>(
        fmt::format("{} cannot be made: {}", path, std::generic_category().message(errno)));
  }
  return {};
}

}  // namespace relay::cli
