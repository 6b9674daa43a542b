// Takes exported messages from a folder into the queue, one after another, each whole or not at
// all, and none twice. Lives in its callbacks until it has answered.
// Threading: one event loop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "relay/control/exported_message.h"
#include "relay/net/clock.h"
#include "relay/net/event_loop.h"
#include "relay/spool/spool.h"

namespace relay::control {

struct Imported {
  std::size_t messages = 0;
  std::size_t known = 0;            ///< were here before, waiting or delivered
  std::vector<std::string> failed;  ///< "FILE: why"
};

[[nodiscard]] nlohmann::ordered_json imported_view(const Imported& imported);

class QueueImport : public std::enable_shared_from_this<QueueImport> {
 public:
  /// What becomes of files whose message is in the queue.
  enum class Files { kept, removed };
  struct Parts {
    spool::Spool& spool;
    net::EventLoop& loop;
    const net::Clock& clock;
  };
  QueueImport(const Parts& parts, std::string folder, Files files);
  /// done runs once, never before this returned.
  void start(std::function<void(Imported)> done);

 private:
  void next();
  void open(const std::string& name);
  void move_content();
  void content_ended();
  void committed(const spool::Stored<void>& stored);
  void failed(const std::string& why);

  Parts parts_;
  std::string folder_;
  Files files_;
  std::vector<std::string> names_;  ///< without ".json"; the last one is next
  std::function<void(Imported)> done_;
  Imported result_;
  std::string name_;
  ExportedMessage message_;
  std::ifstream content_;
  std::uint64_t size_ = 0;
  std::uint32_t crc_ = 0;
  enum class Reading { going_on, ended } reading_ = Reading::ended;
  std::unique_ptr<spool::IncomingMessage> incoming_;
};

}  // namespace relay::control
