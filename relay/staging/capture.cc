#include "relay/staging/capture.h"

#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

namespace relay::staging {
namespace {

/// Closes its descriptor.
class File {
 public:
  File(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
  ~File() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] bool open() const { return fd_ >= 0; }
  [[nodiscard]] bool synced() const { return ::fsync(fd_) == 0; }
  [[nodiscard]] bool write(std::string_view text) const {
    while (!text.empty()) {
      const auto written = ::write(fd_, text.data(), text.size());
      if (written < 0 && errno != EINTR) {
        return false;
      }
      text.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
    }
    return true;
  }

 private:
  int fd_;
};

Unexpected<std::string> fault(const std::string& path) {
  return Unexpected<std::string>(
      fmt::format("{}: {}", path, std::error_code(errno, std::system_category()).message()));
}

Expected<void, std::string> make_folders(const std::string& folder) {
  for (const char* part : {"", "/tmp", "/new", "/cur"}) {
    if (::mkdir((folder + part).c_str(), 0700) != 0 && errno != EEXIST) {
      return fault(folder + part);
    }
  }
  return {};
}

std::string envelope_fields(const spool::Envelope& envelope) {
  std::string fields =
      fmt::format("Return-Path: <{}>\nX-Stsrelay-Id: {}\n", envelope.sender, envelope.id.text());
  for (const spool::Recipient& recipient : envelope.recipients) {
    fields += fmt::format("Delivered-To: {}\n", recipient.address);
  }
  return fields;
}

/// The spool holds no CR but before LF.
void to_lf(std::string& text) {
  std::erase(text, '\r');
}

Expected<void, std::string> write(const std::string& path, const spool::Envelope& envelope,
                                  const ContentSlice& slice) {
  const File file(path, O_WRONLY | O_CREAT | O_TRUNC);
  if (!file.open() || !file.write(envelope_fields(envelope))) {
    return fault(path);
  }
  for (std::uint32_t n = 0;; ++n) {
    auto part = slice(n);
    if (!part) {
      return Unexpected<std::string>(std::move(part.error()));
    }
    if (!*part) {
      break;
    }
    to_lf(**part);
    if (!file.write(**part)) {
      return fault(path);
    }
  }
  return file.synced() ? Expected<void, std::string>{} : fault(path);
}

}  // namespace

Expected<void, std::string> capture(const std::string& folder, const std::string& hostname,
                                    const spool::Envelope& envelope, const ContentSlice& slice) {
  if (auto made = make_folders(folder); !made) {
    return made;
  }
  const auto received =
      std::chrono::duration_cast<std::chrono::seconds>(envelope.received_at.time_since_epoch());
  const std::string name = fmt::format("{}.{}.{}", received.count(), envelope.id.text(), hostname);
  const std::string written = folder + "/tmp/" + name;
  if (auto done = write(written, envelope, slice); !done) {
    ::unlink(written.c_str());
    return done;
  }
  const std::string kept = folder + "/new/" + name;
  if (::rename(written.c_str(), kept.c_str()) != 0) {
    return fault(kept);
  }
  const File directory(folder + "/new", O_RDONLY | O_DIRECTORY);
  return directory.open() && directory.synced() ? Expected<void, std::string>{}
                                                : fault(folder + "/new");
}

}  // namespace relay::staging
