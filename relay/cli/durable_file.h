// A file that is there whole or not at all, and on the disk once it is.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "relay/net/expected.h"

namespace relay::cli {

class DurableFile {
 public:
  /// Begins folder/name, mode 0600, under another name. The error is a sentence.
  static Expected<std::unique_ptr<DurableFile>, std::string> create(const std::string& folder,
                                                                    const std::string& name);
  /// Removes what was not finished.
  ~DurableFile();
  DurableFile(const DurableFile&) = delete;
  DurableFile& operator=(const DurableFile&) = delete;

  Expected<void, std::string> write(std::string_view octets);
  /// Makes it the owner's of the folder, if that is another account.
  Expected<void, std::string> hand_over();
  /// Syncs it, gives it its name (in place of an older one) and syncs the folder.
  Expected<void, std::string> finish();

 private:
  DurableFile(int fd, std::string folder, std::string name)
      : fd_(fd), folder_(std::move(folder)), name_(std::move(name)) {}
  [[nodiscard]] std::string part() const { return folder_ + "/." + name_ + ".part"; }
  [[nodiscard]] Unexpected<std::string> fault(int error) const;

  int fd_;
  std::string folder_, name_;
  enum class State { open, finished } state_ = State::open;
};

}  // namespace relay::cli
