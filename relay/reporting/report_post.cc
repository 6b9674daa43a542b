#include "relay/reporting/report_post.h"

#include <utility>
#include <variant>
#include <vector>

#include "relay/net/domain_name.h"
#include "relay/net/socket_address.h"
#include "rpt/report.h"

namespace relay::reporting {
namespace {

constexpr int kRedirects = 3;

/// Redirects that keep the method as far as machines are concerned (RFC 9110 §15.4); 303 asks for
/// a GET, which would hand nothing over.
bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 307 || status == 308;
}

bool failed(const net::DnsResult& result) {
  return std::holds_alternative<net::DnsFailure>(result);
}

void add_addresses(const net::DnsResult& result, std::uint16_t port,
                   std::vector<net::SocketAddress>& addresses) {
  const auto* answer = std::get_if<net::DnsAnswer>(&result);
  const auto* texts =
      answer == nullptr ? nullptr : std::get_if<std::vector<std::string>>(&answer->records);
  if (texts == nullptr) {
    return;
  }
  for (const std::string& text : *texts) {
    if (const auto address = net::SocketAddress::from_ip(text, port)) {
      addresses.push_back(*address);
    }
  }
}

}  // namespace

class ReportPoster::Task final : public net::Operation::Task {
 public:
  Task(net::DnsClient& dns, net::HttpsClient& https, rpt::Destination destination,
       std::string content, ReportSettings::PrivateAddresses private_addresses, Done done)
      : dns_(dns),
        https_(https),
        destination_(std::move(destination)),
        content_(std::move(content)),
        private_addresses_(private_addresses),
        done_(std::move(done)) {}

  void look_up() {
    a_.reset();
    aaaa_.reset();
    const auto query = [this](net::DnsType type, std::optional<net::DnsResult>& into) {
      return dns_.query(destination_.host, type, net::DnsCacheUse::allowed,
                        [this, &into](net::DnsResult answer) {
                          into = std::move(answer);
                          if (a_ && aaaa_) {
                            post();
                          }
                        });
    };
    a_query_ = query(net::DnsType::a, a_);
    aaaa_query_ = query(net::DnsType::aaaa, aaaa_);
  }

 private:
  void post() {
    std::vector<net::SocketAddress> addresses;
    add_addresses(*aaaa_, destination_.port, addresses);
    add_addresses(*a_, destination_.port, addresses);
    if (addresses.empty()) {
      return finish({rpt::HttpVerdict::retry,
                     failed(*a_) || failed(*aaaa_) ? "dns-failure" : "no-address", ""});
    }
    if (private_addresses_ == ReportSettings::PrivateAddresses::refused) {
      std::erase_if(addresses, [](const net::SocketAddress& each) { return !each.is_public(); });
    }
    auto host = net::DomainName::parse(destination_.host);
    if (addresses.empty() || !host) {
      return finish({rpt::HttpVerdict::permanent, "address-refused", ""});
    }
    net::HttpsPost post;
    post.content = content_;
    post.content_type = rpt::media_type(rpt::Encoding::gzip);
    post.userinfo = destination_.userinfo;
    transfer_ =
        https_.post({std::move(*host), destination_.port, destination_.path, std::move(addresses)},
                    post, [this](const Expected<net::HttpsResponse, net::HttpsFailure>& response) {
                      answered(response);
                    });
  }

  void answered(const Expected<net::HttpsResponse, net::HttpsFailure>& response) {
    if (!response) {
      return finish({rpt::HttpVerdict::retry, response.error().reason, ""});
    }
    if (is_redirect(response->status)) {
      return redirected(*response);
    }
    finish({rpt::judge_http(response->status), std::to_string(response->status),
            response->retry_after});
  }

  void redirected(const net::HttpsResponse& response) {
    const std::string status = std::to_string(response.status);
    auto next = rpt::parse_destination(response.location);
    if (!next || next->scheme != rpt::Scheme::https) {
      return finish({rpt::HttpVerdict::permanent, status + " redirect-not-https", ""});
    }
    if (++redirects_ > kRedirects) {
      return finish({rpt::HttpVerdict::permanent, status + " too-many-redirects", ""});
    }
    // Credentials are for the host that they were published for.
    next->userinfo = next->host == destination_.host && next->port == destination_.port
                         ? destination_.userinfo
                         : "";
    destination_ = std::move(*next);
    look_up();
  }

  void finish(PostOutcome outcome) {
    const Done done = std::move(done_);
    done(std::move(outcome));
  }

  net::DnsClient& dns_;
  net::HttpsClient& https_;
  rpt::Destination destination_;
  const std::string content_;
  const ReportSettings::PrivateAddresses private_addresses_;
  Done done_;
  int redirects_ = 0;
  std::optional<net::DnsResult> a_, aaaa_;
  net::Operation a_query_, aaaa_query_, transfer_;
};

net::Operation ReportPoster::post(const rpt::Destination& destination, const std::string& content,
                                  ReportSettings::PrivateAddresses private_addresses, Done done) {
  auto task = std::make_unique<Task>(dns_, https_, destination, content, private_addresses,
                                     std::move(done));
  task->look_up();
  return net::Operation(std::move(task));
}

}  // namespace relay::reporting
