// Reads the PROXY header of one accepted connection and not an octet more, so that whoever takes
// the socket over, a TLS server too, finds what the client sent. Threading: belongs to its loop.
#pragma once

#include <functional>
#include <string>

#include "relay/net/event_loop.h"
#include "relay/net/expected.h"
#include "relay/net/handles.h"
#include "relay/net/proxy_header.h"

namespace relay::net {

class ProxyReader {
 public:
  using Result = Expected<ProxyHeader, std::string>;
  /// done: called once; may destroy the reader. fd: non-blocking, owned from here on.
  ProxyReader(EventLoop& loop, int fd, std::function<void(ProxyReader&, Result)> done);
  ~ProxyReader() = default;
  ProxyReader(const ProxyReader&) = delete;
  ProxyReader& operator=(const ProxyReader&) = delete;

  /// The socket, for its new owner.
  [[nodiscard]] int release();

 private:
  static void on_readable(int fd, short what, void* self) noexcept;
  void read();
  void finish(Result result);

  std::function<void(ProxyReader&, Result)> done_;
  std::string octets_;
  Descriptor socket_;
  Timer deadline_;
  EventHandle readable_;
};

}  // namespace relay::net
