#include "relay/spool/answers.h"

#include <algorithm>

namespace relay::spool {

void Answers::stored(Request& request) {
  std::visit([this](auto& what) { this->on_stored(what); }, request);
}

void Answers::refused(Request& request, const StoreFault& fault) {
  std::visit([&](auto& what) { this->on_refused(what, fault); }, request);
}

void Answers::post() {
  for (auto& [loop, answers] : loops_) {
    loop->post([answers = std::move(answers)] {
      for (const auto& answer : answers) {
        answer();
      }
    });
  }
  loops_.clear();
}

void Answers::add(net::EventLoop& loop, std::function<void()> answer) {
  auto place = std::find_if(loops_.begin(), loops_.end(),
                            [&](const auto& entry) { return entry.first == &loop; });
  if (place == loops_.end()) {
    place = loops_.insert(place, {&loop, {}});
  }
  place->second.push_back(std::move(answer));
}

void Answers::add_loose(const LooseSlices& slices) {
  if (slices.next < slices.count) {
    loose_.push_back(slices);
  }
}

void Answers::add_removed(RemovedMessage removed) {
  add_loose(removed.loose);
  removed_.push_back(std::move(removed));
}

void Answers::add_written(PolicyWrite& write, Stored<void> result) {
  if (write.done && write.loop != nullptr) {
    add(*write.loop, [done = std::move(write.done), result = std::move(result)] { done(result); });
  }
}

void Answers::on_stored(WriteSlice& request) {
  const auto octets = request.slice.octets.size();
  add(request.transfer->loop,
      [transfer = request.transfer, octets] { transfer->slice_written(octets); });
}

void Answers::on_stored(CommitMessage& request) {
  if (request.transfer->storage.fault) {
    // A slice is missing, so the message was left out of the transaction.
    on_refused(request, *request.transfer->storage.fault);
    return;
  }
  if (request.already_there) {
    on_refused(request, {StoreFault::Kind::already_there, "it is or was in this queue"});
    return;
  }
  messages_.push_back(request.envelope);
  add(request.transfer->loop, [transfer = request.transfer] { transfer->finished({}); });
}

void Answers::on_stored(Settle& request) {
  ++settlements_;
  if (request.removed) {
    add_removed(std::move(*request.removed));
  }
  if (request.notices_stored) {
    for (auto& notice : request.settlement.notices) {
      messages_.push_back(std::make_shared<const Envelope>(std::move(notice.envelope)));
    }
  }
  if (auto& notice = request.settlement.delay_notice; notice && request.tells_delay) {
    messages_.push_back(std::make_shared<const Envelope>(std::move(notice->envelope)));
  }
  if (request.done) {
    add(request.loop, [done = std::move(request.done)] { done({}); });
  }
}

void Answers::on_stored(Count& /*request*/) {}

void Answers::on_stored(ChangeMessages& request) {
  for (auto& removed : request.removed) {
    add_removed(std::move(removed));
  }
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), changed = std::move(request.changed)] { done(changed); });
  }
}

void Answers::on_stored(SavePause& request) {
  if (request.done) {
    add(request.loop, [done = std::move(request.done)] { done({}); });
  }
}

void Answers::on_stored(RemovePause& request) {
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), removed = request.removed] { done(removed); });
  }
}

void Answers::on_stored(SaveClientHold& request) {
  if (request.done) {
    add(request.loop, [done = std::move(request.done)] { done({}); });
  }
}

void Answers::on_stored(RemoveClientHold& request) {
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), removed = request.removed] { done(removed); });
  }
}

void Answers::on_stored(SaveTrouble& /*request*/) {}

void Answers::on_stored(PurgePolicies& request) {
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), removed = request.removed] { done(removed); });
  }
}

void Answers::on_stored(SaveOverride& request) {
  if (request.done) {
    add(request.loop, [done = std::move(request.done)] { done({}); });
  }
}

void Answers::on_stored(RemoveOverride& request) {
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), removed = request.removed] { done(removed); });
  }
}

void Answers::on_stored(SavePolicy& request) {
  add_written(request.write, {});
}

void Answers::on_stored(ForgetPolicy& request) {
  add_written(request.write, {});
}

void Answers::on_stored(WriteReport& request) {
  for (auto& mail : request.write.mails) {
    messages_.push_back(std::make_shared<const Envelope>(std::move(mail.envelope)));
  }
  if (request.done) {
    add(request.loop, [done = std::move(request.done)] { done({}); });
  }
}

void Answers::on_stored(Sweep& request) {
  add_loose(request.slices);
}

void Answers::on_refused(WriteSlice& request, const StoreFault& fault) {
  request.transfer->storage.fault = fault;
  on_stored(request);
}

void Answers::on_refused(CommitMessage& request, const StoreFault& fault) {
  add_loose({request.transfer->id, 0, request.slices});
  add(request.transfer->loop,
      [transfer = request.transfer, fault] { transfer->finished(Unexpected<StoreFault>(fault)); });
}

void Answers::on_refused(Settle& request, const StoreFault& fault) {
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), fault] { done(Unexpected<StoreFault>(fault)); });
  }
}

void Answers::on_refused(Count& /*request*/, const StoreFault& /*fault*/) {}

void Answers::on_refused(ChangeMessages& request, const StoreFault& fault) {
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), fault] { done(Unexpected<StoreFault>(fault)); });
  }
}

void Answers::on_refused(SavePause& request, const StoreFault& fault) {
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), fault] { done(Unexpected<StoreFault>(fault)); });
  }
}

void Answers::on_refused(RemovePause& request, const StoreFault& fault) {
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), fault] { done(Unexpected<StoreFault>(fault)); });
  }
}

void Answers::on_refused(SaveClientHold& request, const StoreFault& fault) {
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), fault] { done(Unexpected<StoreFault>(fault)); });
  }
}

void Answers::on_refused(RemoveClientHold& request, const StoreFault& fault) {
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), fault] { done(Unexpected<StoreFault>(fault)); });
  }
}

// Without it a restart forgets a back-off, no more; on a full disk the next one is stored again.
void Answers::on_refused(SaveTrouble& /*request*/, const StoreFault& /*fault*/) {}

void Answers::on_refused(PurgePolicies& request, const StoreFault& fault) {
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), fault] { done(Unexpected<StoreFault>(fault)); });
  }
}

void Answers::on_refused(SaveOverride& request, const StoreFault& fault) {
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), fault] { done(Unexpected<StoreFault>(fault)); });
  }
}

void Answers::on_refused(RemoveOverride& request, const StoreFault& fault) {
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), fault] { done(Unexpected<StoreFault>(fault)); });
  }
}

void Answers::on_refused(SavePolicy& request, const StoreFault& fault) {
  add_written(request.write, Unexpected<StoreFault>(fault));
}

void Answers::on_refused(ForgetPolicy& request, const StoreFault& fault) {
  add_written(request.write, Unexpected<StoreFault>(fault));
}

void Answers::on_refused(WriteReport& request, const StoreFault& fault) {
  if (request.done) {
    add(request.loop,
        [done = std::move(request.done), fault] { done(Unexpected<StoreFault>(fault)); });
  }
}

void Answers::on_refused(Sweep& request, const StoreFault& /*fault*/) {
  postponed_.push_back(request.slices);
}

}  // namespace relay::spool
