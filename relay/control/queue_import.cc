#include "relay/control/queue_import.h"

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <system_error>
#include <utility>

#include "relay/spool/message_store.h"

namespace relay::control {
namespace {

constexpr std::size_t kPart = 64UL << 10;
/// So much may be on its way to the disk.
constexpr std::size_t kUnwritten = 1UL << 20;

std::vector<std::string> exported_in(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& file : std::filesystem::directory_iterator(folder, error)) {
    if (file.path().extension() == ".json") {
      names.push_back(file.path().stem().string());
    }
  }
  std::ranges::sort(names, std::greater<>());
  return names;
}

}  // namespace

nlohmann::ordered_json imported_view(const Imported& imported) {
  return {{"messages", imported.messages}, {"known", imported.known}, {"failed", imported.failed}};
}

QueueImport::QueueImport(const Parts& parts, std::string folder, Files files)
    : parts_(parts), folder_(std::move(folder)), files_(files), names_(exported_in(folder_)) {}

void QueueImport::start(std::function<void(Imported)> done) {
  done_ = std::move(done);
  parts_.loop.post([self = shared_from_this()] { self->next(); });
}

void QueueImport::next() {
  incoming_.reset();
  content_ = {};
  if (names_.empty()) {
    std::exchange(done_, nullptr)(std::move(result_));
    return;
  }
  name_ = std::move(names_.back());
  names_.pop_back();
  open(folder_ + "/" + name_);
}

void QueueImport::open(const std::string& name) {
  std::ifstream json(name + ".json", std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(json), std::istreambuf_iterator<char>()};
  auto message = parse_exported(text);
  content_.open(name + ".eml", std::ios::binary);
  if (!message || !content_) {
    failed(message ? "its .eml file cannot be read" : message.error());
    return;
  }
  message_ = std::move(*message);
  size_ = 0;
  crc_ = 0;
  reading_ = Reading::going_on;
  incoming_ = parts_.spool.receive(parts_.loop);
  incoming_->set_drained([self = weak_from_this()] {
    if (const auto alive = self.lock()) {
      alive->move_content();
    }
  });
  move_content();
}

void QueueImport::move_content() {
  while (reading_ == Reading::going_on && incoming_->unwritten() < kUnwritten) {
    std::string part(kPart, '\0');
    content_.read(part.data(), static_cast<std::streamsize>(part.size()));
    part.resize(static_cast<std::size_t>(content_.gcount()));
    if (part.empty()) {
      reading_ = Reading::ended;
      content_ended();
      return;
    }
    size_ += part.size();
    crc_ = spool::crc_of(part, crc_);
    incoming_->append(std::move(part));
  }
}

void QueueImport::content_ended() {
  if (size_ != message_.envelope.size || crc_ != message_.crc) {
    failed("its .eml file is not what was exported");
    return;
  }
  spool::Envelope envelope = message_.envelope_at(parts_.clock.wall());
  envelope.id = incoming_->id();
  incoming_->commit(
      std::move(envelope),
      [self = shared_from_this()](const spool::Stored<void>& stored) { self->committed(stored); });
}

void QueueImport::committed(const spool::Stored<void>& stored) {
  if (!stored && stored.error().kind != spool::StoreFault::Kind::already_there) {
    failed(stored.error().reason);
    return;
  }
  ++(stored ? result_.messages : result_.known);
  if (files_ == Files::removed) {
    std::error_code error;
    std::filesystem::remove(folder_ + "/" + name_ + ".json", error);
    std::filesystem::remove(folder_ + "/" + name_ + ".eml", error);
  }
  parts_.loop.post([self = shared_from_this()] { self->next(); });
}

void QueueImport::failed(const std::string& why) {
  result_.failed.push_back(name_ + ".json: " + why);
  parts_.loop.post([self = shared_from_this()] { self->next(); });
}

}  // namespace relay::control
