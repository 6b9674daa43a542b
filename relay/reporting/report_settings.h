// What reporting needs of the configuration; immutable, replaced as a whole on reload.
#pragma once

#include <string>
#include <vector>

#include "conf/config.h"
#include "relay/message/dkim_signer.h"
#include "relay/net/revocation.h"

namespace relay::reporting {

struct ReportSettings {
  conf::Reports reports;
  std::string hostname;
  std::vector<message::DkimSigner> signers;
  net::Revocation revocation = net::Revocation::stapled;
  /// Where reports are posted to: only public addresses, outside a test world.
  enum class PrivateAddresses { refused, allowed } private_addresses = PrivateAddresses::refused;

  /// The domain that reports, RFC 8460's submitter.
  [[nodiscard]] std::string submitter() const {
    return reports.contact.substr(reports.contact.rfind('@') + 1);
  }
  [[nodiscard]] const std::string& sender() const {
    return reports.from.empty() ? reports.contact : reports.from;
  }
  /// What is set for one domain's reports; null: nothing.
  [[nodiscard]] const conf::ReportRule* rule_of(const std::string& domain) const {
    const auto found = reports.domains.find(domain);
    return found == reports.domains.end() ? nullptr : &found->second;
  }
};

}  // namespace relay::reporting
