#include "relay/cli/durable_file.h"

#include <cerrno>
#include <cstdio>
#include <fcntl.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace relay::cli {
namespace {

int sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return errno;
  }
  const int error = ::fsync(fd) == 0 ? 0 : errno;
  ::close(fd);
  return error;
}

}  // namespace

Expected<std::unique_ptr<DurableFile>, std::string> DurableFile::create(const std::string& folder,
                                                                        const std::string& name) {
  std::unique_ptr<DurableFile> file(new DurableFile(-1, folder, name));
  file->fd_ = ::open(file->part().c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
                     S_IRUSR | S_IWUSR);
  if (file->fd_ < 0) {
    const int error = errno;
    file->state_ = State::finished;
    return file->fault(error);
  }
  return file;
}

DurableFile::~DurableFile() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
  if (state_ == State::open) {
    ::unlink(part().c_str());
  }
}

Expected<void, std::string> DurableFile::write(std::string_view octets) {
  while (!octets.empty()) {
    const ssize_t written = ::write(fd_, octets.data(), octets.size());
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return fault(written < 0 ? errno : EIO);
    }
    octets.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

Expected<void, std::string> DurableFile::hand_over() {
  struct stat folder {};
  if (::stat(folder_.c_str(), &folder) != 0) {
    return fault(errno);
  }
  if (folder.st_uid != ::geteuid() && ::fchown(fd_, folder.st_uid, folder.st_gid) != 0) {
    return fault(errno);
  }
  return {};
}

Expected<void, std::string> DurableFile::finish() {
  if (::fsync(fd_) != 0) {
    return fault(errno);
  }
  const std::string name = folder_ + "/" + name_;
  if (std::rename(part().c_str(), name.c_str()) != 0) {
    return fault(errno);
  }
  state_ = State::finished;
  const int error = sync_folder(folder_);
  if (error != 0) {
    return fault(error);
  }
  return {};
}

Unexpected<std::string> DurableFile::fault(int error) const {
  return Unexpected<std::string>(fmt::format("{}/{} cannot be written: {}", folder_, name_,
                                             std::generic_category().message(error)));
}

}  // namespace relay::cli
