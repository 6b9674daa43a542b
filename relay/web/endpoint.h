// What the HTTP endpoint answers: metrics for Prometheus, and probes for whoever supervises the
// daemon. Values; the daemon gives the facts.
#pragma once

#include <functional>
#include <string>

#include "relay/control/control_actions.h"
#include "relay/net/clock.h"
#include "relay/net/http_server.h"
#include "relay/spool/spool_reader.h"

namespace relay::web {

/// Called for each request that needs them.
struct Sources {
  std::function<control::StatusFacts()> status;
  std::function<std::string()> obstacle;  ///< why no mail is taken now; empty: it is
  std::function<spool::Stored<spool::SpoolReader::Totals>()> queue;
  std::function<net::WallTime()> now;
};

/// /metrics; /live: 200; /ready: 200, or 503 and why not.
[[nodiscard]] net::HttpAnswer respond(const std::string& path, const Sources& sources);

/// The text format 0.0.4 of Prometheus. queue null: it cannot be read, and its metrics are absent.
[[nodiscard]] std::string exposition(const control::StatusFacts& facts,
                                     const spool::SpoolReader::Totals* queue, net::WallTime now);

}  // namespace relay::web
