// Which messages a `queue` subcommand means, as its options say it.
#pragma once

#include <optional>
#include <string>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "relay/control/queue_requests.h"

namespace relay::cli {

struct FilterOptions {
  control::QueueFilter filter;
  std::string older_than, newer_than;  ///< as given
  /// Takes the ages into the filter; false: they are none, which it has said.
  [[nodiscard]] bool read();
};

/// Adds --domain, --sender, --recipient, --older-than, --newer-than, --held and --held-for.
void add_filter(CLI::App& command, FilterOptions& options);

/// The id; nullopt: it is none, which it has said.
[[nodiscard]] std::optional<spool::MessageId> parsed_id(const std::string& text);

/// ": the reason", or nothing if there is none.
[[nodiscard]] std::string reason_text(const nlohmann::ordered_json& pause);

}  // namespace relay::cli
