// Owners for descriptors and libevent's events, and the system's words for errno. For relay/net
// only.
#pragma once

#include <memory>
#include <string>
#include <system_error>
#include <unistd.h>
#include <utility>

#include <event2/event.h>

namespace relay::net {

/// Closes its descriptor unless it was released.
class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  [[nodiscard]] int get() const { return fd_; }  ///< -1: none
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

struct FreeEvent {
  void operator()(event* handle) const { event_free(handle); }
};
using EventHandle = std::unique_ptr<event, FreeEvent>;

/// "Connection refused" for ECONNREFUSED.
inline std::string system_message(int error) {
  return std::error_code(error, std::system_category()).message();
}

}  // namespace relay::net
