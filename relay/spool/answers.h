// The answers to one group of requests, posted with one task per loop.
// Threading: belongs to one thread; the answers run on the loops.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "relay/spool/requests.h"

namespace relay::spool {

class Answers {
 public:
  void stored(Request& request);
  void refused(Request& request, const StoreFault& fault);
  /// Posts what was gathered.
  void post();

  /// Messages that are now in the queue.
  [[nodiscard]] const std::vector<std::shared_ptr<const Envelope>>& messages() const {
    return messages_;
  }
  /// Messages that are no longer in it.
  [[nodiscard]] const std::vector<RemovedMessage>& removed() const { return removed_; }
  [[nodiscard]] std::uint64_t settlements() const { return settlements_; }
  /// Slices still to be swept; some wait for better times because their removal failed.
  [[nodiscard]] std::vector<LooseSlices> take_loose() { return std::exchange(loose_, {}); }
  [[nodiscard]] std::vector<LooseSlices> take_postponed() { return std::exchange(postponed_, {}); }

 private:
  void add(net::EventLoop& loop, std::function<void()> answer);
  void add_loose(const LooseSlices& slices);
  void add_removed(RemovedMessage removed);
  void add_written(PolicyWrite& write, Stored<void> result);
  void on_stored(WriteSlice& request);
  void on_stored(CommitMessage& request);
  void on_stored(Settle& request);
  void on_stored(Count& request);
  void on_stored(ChangeMessages& request);
  void on_stored(SavePause& request);
  void on_stored(RemovePause& request);
  void on_stored(SaveClientHold& request);
  void on_stored(RemoveClientHold& request);
  void on_stored(SavePolicy& request);
  void on_stored(ForgetPolicy& request);
  void on_stored(SaveTrouble& request);
  void on_stored(PurgePolicies& request);
  void on_stored(SaveOverride& request);
  void on_stored(RemoveOverride& request);
  void on_stored(WriteReport& request);
  void on_stored(Sweep& request);
  void on_refused(WriteSlice& request, const StoreFault& fault);
  void on_refused(CommitMessage& request, const StoreFault& fault);
  void on_refused(Settle& request, const StoreFault& fault);
  void on_refused(Count& request, const StoreFault& fault);
  void on_refused(ChangeMessages& request, const StoreFault& fault);
  void on_refused(SavePause& request, const StoreFault& fault);
  void on_refused(RemovePause& request, const StoreFault& fault);
  void on_refused(SaveClientHold& request, const StoreFault& fault);
  void on_refused(RemoveClientHold& request, const StoreFault& fault);
  void on_refused(SavePolicy& request, const StoreFault& fault);
  void on_refused(ForgetPolicy& request, const StoreFault& fault);
  void on_refused(SaveTrouble& request, const StoreFault& fault);
  void on_refused(PurgePolicies& request, const StoreFault& fault);
  void on_refused(SaveOverride& request, const StoreFault& fault);
  void on_refused(RemoveOverride& request, const StoreFault& fault);
  void on_refused(WriteReport& request, const StoreFault& fault);
  void on_refused(Sweep& request, const StoreFault& fault);

  std::vector<std::pair<net::EventLoop*, std::vector<std::function<void()>>>> loops_;
  std::vector<std::shared_ptr<const Envelope>> messages_;
  std::vector<RemovedMessage> removed_;
  std::uint64_t settlements_ = 0;
  std::vector<LooseSlices> loose_;
  std::vector<LooseSlices> postponed_;
};

}  // namespace relay::spool
