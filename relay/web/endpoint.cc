#include "relay/web/endpoint.h"

namespace relay::web {
namespace {

net::HttpAnswer text(int status, std::string body) {
  net::HttpAnswer answer;
  answer.status = status;
  answer.body = std::move(body);
  return answer;
}

net::HttpAnswer metrics(const Sources& sources) {
  const auto queue = sources.queue();
  net::HttpAnswer answer;
  answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
  answer.body = exposition(sources.status(), queue ? &*queue : nullptr, sources.now());
  return answer;
}

}  // namespace

net::HttpAnswer respond(const std::string& path, const Sources& sources) {
  if (path == "/metrics") {
    return metrics(sources);
  }
  if (path == "/live") {
    return text(200, "live\n");
  }
  if (path == "/ready") {
    const std::string obstacle = sources.obstacle();
    return obstacle.empty() ? text(200, "ready\n") : text(503, "not ready: " + obstacle + "\n");
  }
  return text(404, "There are /metrics, /live and /ready.\n");
}

}  // namespace relay::web
