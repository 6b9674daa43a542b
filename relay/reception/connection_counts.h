// How many inbound connections are open, in all and by client; shared by all workers.
// Threading: every method may be called from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <variant>

namespace relay::reception {

class ConnectionCounts : public std::enable_shared_from_this<ConnectionCounts> {
 public:
  /// One counted connection; gives its place back when destroyed.
  class Place {
   public:
    Place(std::shared_ptr<ConnectionCounts> counts, std::string client);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

   private:
    std::shared_ptr<ConnectionCounts> counts_;
    std::string client_;
  };

  enum class Full { total, client };
  struct Caps {
    std::size_t total;
    std::size_t per_client;
  };

  /// A place for one more connection of client at a listener, or which cap it would break.
  [[nodiscard]] std::variant<std::unique_ptr<Place>, Full> take(const std::string& client,
                                                                const Caps& caps,
                                                                const std::string& listener);
  [[nodiscard]] std::size_t total() const;
  /// Of clients that have any.
  [[nodiscard]] std::map<std::string, std::size_t> by_client() const;
  /// What became of the connections since the start, by which cap was full.
  struct Served {
    std::uint64_t accepted = 0, refused_total = 0, refused_client = 0;
  };
  /// By listener; none of those that nobody came to.
  [[nodiscard]] std::map<std::string, Served> served() const;

 private:
  void give_back(const std::string& client);

  mutable std::mutex mutex_;
  std::size_t total_ = 0;
  std::map<std::string, Served> served_;
  std::unordered_map<std::string, std::size_t> by_client_;
};

}  // namespace relay::reception
