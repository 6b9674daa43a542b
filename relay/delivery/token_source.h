// Access tokens for upstreams, kept until shortly before they expire; one refresh per account is
// under way at a time, however many connections wait for it. Threading: one loop.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "relay/delivery/credentials.h"
#include "relay/net/clock.h"
#include "relay/net/dns_client.h"
#include "relay/net/expected.h"
#include "relay/net/https_client.h"
#include "relay/net/operation.h"

namespace relay::delivery {

class TokenSource {
 public:
  using Token = std::shared_ptr<const smtp::ClientAuth>;
  using Done = std::function<void(const Expected<Token, std::string>&)>;

  TokenSource(const net::Clock& clock, net::DnsClient& dns, net::HttpsClient& https);
  ~TokenSource();
  TokenSource(const TokenSource&) = delete;
  TokenSource& operator=(const TokenSource&) = delete;

  /// One that is good for a while yet; null: there is none.
  [[nodiscard]] Token cached(const Credentials& credentials);
  /// Asks for a new one; the error is one sentence.
  [[nodiscard]] net::Operation fetch(const std::shared_ptr<const Credentials>& credentials,
                                     Done done);
  /// The upstream did not take it, or the account has changed.
  void forget(const std::string& account) { tokens_.erase(account); }
  void forget_all() { tokens_.clear(); }

 private:
  class Waiting;
  struct Job;
  struct Kept {
    Token token;
    net::SteadyTime good_until{};
  };

  void look_up(Job& job);
  void post(Job& job);
  void finish(Job& job, const Expected<net::HttpsResponse, net::HttpsFailure>& response);
  void fail(Job& job, const std::string& why);
  void tell(Job& job, const Expected<Token, std::string>& result);

  const net::Clock& clock_;
  net::DnsClient& dns_;
  net::HttpsClient& https_;
  std::map<std::string, Kept> tokens_;
  std::map<std::string, std::unique_ptr<Job>> jobs_;  ///< by account
};

}  // namespace relay::delivery
