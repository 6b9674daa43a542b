#include "tests/relay/spool/test_vfs.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

namespace relay::spool::testing {

namespace {

struct RecordedFile {
  sqlite3_file base;
  TestVfs* vfs;
  const std::string* name;  // null: a temporary file, of no interest
  sqlite3_file* real;
};

RecordedFile& recorded(sqlite3_file* file) {
  return *reinterpret_cast<RecordedFile*>(file);
}

int close_file(sqlite3_file* file) noexcept {
  auto& self = recorded(file);
  delete std::exchange(self.name, nullptr);
  return self.real->pMethods != nullptr ? self.real->pMethods->xClose(self.real) : SQLITE_OK;
}

int read_file(sqlite3_file* file, void* to, int count, sqlite3_int64 offset) noexcept {
  auto* real = recorded(file).real;
  return real->pMethods->xRead(real, to, count, offset);
}

int write_file(sqlite3_file* file, const void* from, int count, sqlite3_int64 offset) noexcept {
  auto& self = recorded(file);
  if (self.name != nullptr && self.name->ends_with(".db") && !self.vfs->may_write_main()) {
    return SQLITE_IOERR_WRITE;
  }
  sqlite3_int64 size = 0;
  self.real->pMethods->xFileSize(self.real, &size);
  if (!self.vfs->take_room(std::max<sqlite3_int64>(offset + count - size, 0))) {
    return SQLITE_FULL;
  }
  const int result = self.real->pMethods->xWrite(self.real, from, count, offset);
  if (result == SQLITE_OK && self.name != nullptr) {
    self.vfs->record(
        {FileOperation::Kind::write, *self.name, static_cast<std::size_t>(offset),
         std::string(static_cast<const char*>(from), static_cast<std::size_t>(count))});
  }
  return result;
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) noexcept {
  auto& self = recorded(file);
  if (self.name != nullptr) {
    self.vfs->record(
        {FileOperation::Kind::truncate, *self.name, static_cast<std::size_t>(size), {}});
  }
  return self.real->pMethods->xTruncate(self.real, size);
}

int sync_file(sqlite3_file* file, int flags) noexcept {
  auto& self = recorded(file);
  if (self.vfs->sync_fails()) {
    return SQLITE_IOERR_FSYNC;
  }
  if (self.name != nullptr) {
    self.vfs->record({FileOperation::Kind::sync, *self.name, 0, {}});
  }
  // The real disk need not be waited for: what counts is the record.
  static_cast<void>(flags);
  return SQLITE_OK;
}

int file_size(sqlite3_file* file, sqlite3_int64* size) noexcept {
  auto* real = recorded(file).real;
  return real->pMethods->xFileSize(real, size);
}

int lock_file(sqlite3_file* file, int level) noexcept {
  auto* real = recorded(file).real;
  return real->pMethods->xLock(real, level);
}

int unlock_file(sqlite3_file* file, int level) noexcept {
  auto* real = recorded(file).real;
  return real->pMethods->xUnlock(real, level);
}

int check_reserved_lock(sqlite3_file* file, int* held) noexcept {
  auto* real = recorded(file).real;
  return real->pMethods->xCheckReservedLock(real, held);
}

int file_control(sqlite3_file* file, int operation, void* argument) noexcept {
  auto* real = recorded(file).real;
  return real->pMethods->xFileControl(real, operation, argument);
}

int sector_size(sqlite3_file* file) noexcept {
  auto* real = recorded(file).real;
  return real->pMethods->xSectorSize(real);
}

int device_characteristics(sqlite3_file* file) noexcept {
  auto* real = recorded(file).real;
  return real->pMethods->xDeviceCharacteristics(real);
}

int map_shared(sqlite3_file* file, int page, int size, int extend, void volatile** to) noexcept {
  auto* real = recorded(file).real;
  return real->pMethods->xShmMap(real, page, size, extend, to);
}

int lock_shared(sqlite3_file* file, int offset, int count, int flags) noexcept {
  auto* real = recorded(file).real;
  return real->pMethods->xShmLock(real, offset, count, flags);
}

void barrier_shared(sqlite3_file* file) noexcept {
  auto* real = recorded(file).real;
  real->pMethods->xShmBarrier(real);
}

int unmap_shared(sqlite3_file* file, int remove) noexcept {
  auto* real = recorded(file).real;
  return real->pMethods->xShmUnmap(real, remove);
}

constexpr sqlite3_io_methods kMethods = {2,
                                         close_file,
                                         read_file,
                                         write_file,
                                         truncate_file,
                                         sync_file,
                                         file_size,
                                         lock_file,
                                         unlock_file,
                                         check_reserved_lock,
                                         file_control,
                                         sector_size,
                                         device_characteristics,
                                         map_shared,
                                         lock_shared,
                                         barrier_shared,
                                         unmap_shared,
                                         nullptr,
                                         nullptr};

std::string base_name(const std::string& path) {
  return path.substr(path.rfind('/') + 1);
}

int open_file(sqlite3_vfs* vfs, const char* name, sqlite3_file* file, int flags,
              int* out) noexcept {
  auto* self = static_cast<TestVfs*>(vfs->pAppData);
  auto& opened = recorded(file);
  opened.vfs = self;
  opened.real = reinterpret_cast<sqlite3_file*>(&opened + 1);
  opened.name =
      name != nullptr ? std::make_unique<std::string>(base_name(name)).release() : nullptr;
  const int result = self->real()->xOpen(self->real(), name, opened.real, flags, out);
  opened.base.pMethods = opened.real->pMethods != nullptr ? &kMethods : nullptr;
  if (opened.base.pMethods == nullptr) {
    delete std::exchange(opened.name, nullptr);
  }
  return result;
}

int delete_file(sqlite3_vfs* vfs, const char* name, int sync) noexcept {
  auto* self = static_cast<TestVfs*>(vfs->pAppData);
  self->record({FileOperation::Kind::remove, base_name(name), 0, {}});
  return self->real()->xDelete(self->real(), name, sync);
}

int sleep_for(sqlite3_vfs* vfs, int microseconds) noexcept {
  auto* self = static_cast<TestVfs*>(vfs->pAppData);
  return self->sleep(std::chrono::microseconds(microseconds))
             ? microseconds
             : self->real()->xSleep(self->real(), microseconds);
}

void apply_to(std::string& content, const FileOperation& operation, std::size_t octets) {
  if (operation.kind == FileOperation::Kind::truncate) {
    content.resize(std::min(content.size(), operation.offset));
    return;
  }
  if (operation.kind == FileOperation::Kind::write) {
    content.resize(std::max(content.size(), operation.offset + octets));
    std::copy_n(operation.octets.begin(), octets,
                content.begin() + static_cast<std::ptrdiff_t>(operation.offset));
  }
}

}  // namespace

TestVfs::TestVfs(std::string name) : name_(std::move(name)), real_(sqlite3_vfs_find(nullptr)) {
  vfs_ = *real_;
  vfs_.szOsFile = static_cast<int>(sizeof(RecordedFile)) + real_->szOsFile;
  vfs_.zName = name_.c_str();
  vfs_.pNext = nullptr;
  vfs_.pAppData = this;
  vfs_.xOpen = open_file;
  vfs_.xDelete = delete_file;
  vfs_.xSleep = sleep_for;
  sqlite3_vfs_register(&vfs_, 0);
}

TestVfs::~TestVfs() {
  sqlite3_vfs_unregister(&vfs_);
}

std::size_t TestVfs::position() const {
  const std::lock_guard lock(mutex_);
  return operations_.size();
}

std::vector<FileOperation> TestVfs::operations() const {
  const std::lock_guard lock(mutex_);
  return operations_;
}

bool TestVfs::take_room(std::int64_t octets) {
  // Only the spool thread writes.
  if (octets > room_) {
    return false;
  }
  room_ -= octets;
  return true;
}

void TestVfs::set_main_write(std::function<bool()> may_write) {
  const std::lock_guard lock(mutex_);
  may_write_ = std::move(may_write);
}

bool TestVfs::may_write_main() const {
  const std::lock_guard lock(mutex_);
  return !may_write_ || may_write_();
}

bool TestVfs::sleep(std::chrono::microseconds time) const {
  if (!sleep_) {
    return false;
  }
  sleep_(time);
  return true;
}

void TestVfs::record(FileOperation operation) {
  const std::lock_guard lock(mutex_);
  operations_.push_back(std::move(operation));
}

void Disk::apply(const FileOperation& operation) {
  if (operation.kind == FileOperation::Kind::remove) {
    files_.erase(operation.file);
    return;
  }
  auto& file = files_[operation.file];
  if (operation.kind != FileOperation::Kind::sync) {
    file.pending.push_back(operation);
    return;
  }
  for (const auto& pending : file.pending) {
    apply_to(file.synced, pending, pending.octets.size());
  }
  file.pending.clear();
}

std::map<std::string, std::string> Disk::after_cut(std::mt19937& random) const {
  std::map<std::string, std::string> contents;
  for (const auto& [name, file] : files_) {
    auto content = file.synced;
    for (const auto& pending : file.pending) {
      switch (random() % 3) {
        case 0:  // lost
          break;
        case 1:  // torn
          apply_to(content, pending,
                   pending.octets.empty() ? 0 : random() % (pending.octets.size() + 1));
          break;
        default:
          apply_to(content, pending, pending.octets.size());
      }
    }
    contents.emplace(name, std::move(content));
  }
  return contents;
}

}  // namespace relay::spool::testing
