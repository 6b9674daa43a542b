#include "relay/delivery/token_source.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "relay/delivery/policy_lookup.h"
#include "relay/delivery/token_exchange.h"

namespace relay::delivery {
namespace {

/// A token is renewed so long before its end, or half its life before if that is short.
constexpr std::chrono::seconds kMargin{60};

}  // namespace

struct TokenSource::Job {
  std::shared_ptr<const Credentials> credentials;
  std::shared_ptr<std::list<Done*>> waiting = std::make_shared<std::list<Done*>>();
  std::optional<net::DnsResult> a, aaaa;
  net::Operation a_query, aaaa_query, post;
};

/// One who waits; outlives the job, if that is how it goes.
class TokenSource::Waiting final : public net::Operation::Task {
 public:
  Waiting(const std::shared_ptr<std::list<Done*>>& list, Done done)
      : list_(list), done_(std::move(done)) {
    list->push_back(&done_);
  }
  ~Waiting() override {
    if (const auto list = list_.lock()) {
      list->remove(&done_);
    }
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;
  Waiting(Waiting&&) = delete;
  Waiting& operator=(Waiting&&) = delete;

 private:
  std::weak_ptr<std::list<Done*>> list_;
  Done done_;
};

TokenSource::TokenSource(const net::Clock& clock, net::DnsClient& dns, net::HttpsClient& https)
    : clock_(clock), dns_(dns), https_(https) {}

TokenSource::~TokenSource() = default;

TokenSource::Token TokenSource::cached(const Credentials& credentials) {
  const auto found = tokens_.find(credentials.account);
  if (found == tokens_.end()) {
    return nullptr;
  }
  if (found->second.good_until <= clock_.steady()) {
    tokens_.erase(found);
    return nullptr;
  }
  return found->second.token;
}

net::Operation TokenSource::fetch(const std::shared_ptr<const Credentials>& credentials,
                                  Done done) {
  auto& job = jobs_[credentials->account];
  const bool is_new = job == nullptr;
  if (is_new) {
    job = std::make_unique<Job>();
    job->credentials = credentials;
  }
  auto waiting = std::make_unique<Waiting>(job->waiting, std::move(done));
  if (is_new) {
    look_up(*job);
  }
  return net::Operation(std::move(waiting));
}

void TokenSource::look_up(Job& job) {
  const auto query = [&](net::DnsType type, std::optional<net::DnsResult>& into) {
    return dns_.query(job.credentials->endpoint->host.text(), type, net::DnsCacheUse::allowed,
                      [this, &job, &into](net::DnsResult answer) {
                        into = std::move(answer);
                        if (job.a && job.aaaa) {
                          post(job);
                        }
                      });
  };
  job.a_query = query(net::DnsType::a, job.a);
  job.aaaa_query = query(net::DnsType::aaaa, job.aaaa);
}

void TokenSource::post(Job& job) {
  const TokenEndpoint& endpoint = *job.credentials->endpoint;
  // Who wrote the URL knows what it points to.
  auto addresses =
      policy_host_addresses(*job.a, *job.aaaa, endpoint.port, PrivateAddresses::allowed);
  if (!addresses) {
    fail(job, fmt::format("the address of {} cannot be had: {}", endpoint.host.text(),
                          addresses.error()));
    return;
  }
  const net::HttpsRequest request{endpoint.host, endpoint.port, endpoint.path,
                                  std::move(*addresses)};
  job.post =
      https_.post(request, token_request(endpoint),
                  [this, &job](const Expected<net::HttpsResponse, net::HttpsFailure>& response) {
                    finish(job, response);
                  });
}

void TokenSource::finish(Job& job,
                         const Expected<net::HttpsResponse, net::HttpsFailure>& response) {
  if (!response) {
    fail(job, fmt::format("the token endpoint {} cannot be asked: {}",
                          job.credentials->endpoint->host.text(), response.error().reason));
    return;
  }
  auto token = token_of(*response);
  if (!token) {
    fail(job, token.error());
    return;
  }
  const Credentials& credentials = *job.credentials;
  const auto auth = std::make_shared<const smtp::ClientAuth>(
      smtp::ClientAuth{credentials.user, smtp::ClientAuth::Kind::token, credentials.send_over,
                       std::move(token->text)});
  const std::chrono::seconds good = token->lifetime - std::min(kMargin, token->lifetime / 2);
  tokens_[credentials.account] = Kept{auth, clock_.steady() + good};
  tell(job, Token(auth));
}

void TokenSource::fail(Job& job, const std::string& why) {
  tell(job, Unexpected<std::string>("no access token: " + why));
}

void TokenSource::tell(Job& job, const Expected<Token, std::string>& result) {
  // Each callback may cancel others, ask again, or destroy this.
  const auto waiting = job.waiting;
  const auto own = jobs_.extract(job.credentials->account);
  while (!waiting->empty()) {
    const Done done = std::move(*waiting->front());
    waiting->pop_front();
    done(result);
  }
}

}  // namespace relay::delivery
