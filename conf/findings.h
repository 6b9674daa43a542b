// What reading a configuration found: errors, and where each key stands for checks made later.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "conf/config.h"
#include "conf/environment.h"

namespace conf {

class Findings {
 public:
  Findings() = default;
  /// environment: what ${NAME} in values stands for; outlives it.
  explicit Findings(const Environment& environment) : environment_(&environment) {}
  /// Null: ${NAME} stands for itself.
  [[nodiscard]] const Environment* environment() const { return environment_; }

  void fail(std::size_t line, std::string key, std::string reason);
  /// For a key that was read before; its line is known then.
  void fail(const std::string& key, std::string reason) {
    fail(line_of(key), key, std::move(reason));
  }
  void note_line(std::string key, std::size_t line);
  /// The line of a key or of the nearest one that holds it; 0 if it is not in the text.
  [[nodiscard]] std::size_t line_of(std::string key) const;
  [[nodiscard]] bool any() const { return !errors_.empty(); }
  [[nodiscard]] std::size_t count() const { return errors_.size(); }
  /// By line.
  [[nodiscard]] std::vector<ConfigError> take_errors();

 private:
  const Environment* environment_ = nullptr;
  std::vector<ConfigError> errors_;
  std::map<std::string, std::size_t> lines_;
};

}  // namespace conf
