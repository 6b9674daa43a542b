// One message on its way into the store: what its connection's loop and the spool thread share, and
// the half that the connection holds.
// Threading: Transfer's parts belong to the thread named; they meet only through posts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "relay/net/event_loop.h"
#include "relay/spool/spool.h"

namespace relay::spool {

class RequestQueue;

struct Transfer {
  Transfer(net::EventLoop& its_loop, MessageId its_id) : loop(its_loop), id(its_id) {}

  net::EventLoop& loop;
  const MessageId id;

  /// The loop's part.
  struct Receiver {
    bool alive = true;
    std::size_t unwritten = 0;
    std::function<void()> drained;
    std::function<void(Stored<void>)> done;
  } receiver;

  /// The spool thread's part.
  struct Storage {
    std::optional<StoreFault> fault;  ///< a slice could not be written: the message is refused
  } storage;

  /// On the loop: a slice left memory.
  void slice_written(std::size_t octets);
  /// On the loop: the message is stored, or not.
  void finished(Stored<void> result);
};

class Incoming final : public IncomingMessage {
 public:
  Incoming(std::shared_ptr<RequestQueue> queue, net::EventLoop& loop, MessageId id);
  ~Incoming() override;
  Incoming(const Incoming&) = delete;
  Incoming& operator=(const Incoming&) = delete;
  [[nodiscard]] MessageId id() const override { return transfer_->id; }
  void append(std::string slice) override;
  [[nodiscard]] std::size_t unwritten() const override { return transfer_->receiver.unwritten; }
  void set_drained(std::function<void()> drained) override;
  void commit(Envelope envelope, std::function<void(Stored<void>)> done) override;

 private:
  void write_held();

  std::shared_ptr<RequestQueue> queue_;
  std::shared_ptr<Transfer> transfer_;
  std::string held_;  // goes with the commit if the message is small: one transaction
  std::uint32_t sent_ = 0;
  bool committed_ = false;
};

}  // namespace relay::spool
