#include "relay/spool/incoming.h"

#include <utility>

#include "relay/spool/message_store.h"
#include "relay/spool/request_queue.h"
#include "relay/spool/requests.h"
#include "relay/spool/schema.h"

namespace relay::spool {

void Transfer::slice_written(std::size_t octets) {
  receiver.unwritten -= octets;
  if (receiver.unwritten == 0 && receiver.alive && receiver.drained) {
    // A copy: the callee may set another or destroy the receiver.
    const auto drained = receiver.drained;
    drained();
  }
}

void Transfer::finished(Stored<void> result) {
  if (receiver.alive && receiver.done) {
    const auto done = std::exchange(receiver.done, nullptr);
    done(std::move(result));
  }
}

Incoming::Incoming(std::shared_ptr<RequestQueue> queue, net::EventLoop& loop, MessageId id)
    : queue_(std::move(queue)), transfer_(std::make_shared<Transfer>(loop, id)) {}

Incoming::~Incoming() {
  transfer_->receiver.alive = false;
  if (!committed_ && sent_ > 0) {
    queue_->submit(Sweep{{transfer_->id, 0, sent_}});
  }
}

void Incoming::append(std::string slice) {
  if (!held_.empty() && held_.size() + slice.size() > kSliceOctets) {
    write_held();
  }
  if (held_.empty()) {
    held_ = std::move(slice);
  } else {
    held_ += slice;
  }
}

void Incoming::write_held() {
  transfer_->receiver.unwritten += held_.size();
  const auto crc = crc_of(held_);
  queue_->submit(WriteSlice{transfer_, Slice{sent_++, crc, std::exchange(held_, {})}});
}

void Incoming::set_drained(std::function<void()> drained) {
  transfer_->receiver.drained = std::move(drained);
}

void Incoming::commit(Envelope envelope, std::function<void(Stored<void>)> done) {
  committed_ = true;
  transfer_->receiver.done = std::move(done);
  std::optional<Slice> last;
  if (!held_.empty()) {
    const auto crc = crc_of(held_);
    last = Slice{sent_++, crc, std::exchange(held_, {})};
  }
  queue_->submit(CommitMessage{transfer_, std::make_shared<const Envelope>(std::move(envelope)),
                               std::move(last), sent_});
}

}  // namespace relay::spool
