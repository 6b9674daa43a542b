// What a server says to ClientSession: with an unmet TLS requirement no mail command is ever said,
// and none without REQUIRETLS for a message that asks for it. The first octet chooses requirement,
// handshake outcome, cut and message.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "relay/smtp/client_session.h"

namespace {

using relay::net::TlsFailed;
using relay::net::TlsOutcome;
using relay::net::TlsUnverified;
using relay::net::TlsVerified;
using relay::smtp::ClientSession;
using relay::smtp::ClientSettings;
using relay::smtp::ClientTransaction;
using relay::smtp::RequireTls;
using relay::smtp::TlsRequirement;
using Demand = ClientSession::Demand;

ClientTransaction transaction(unsigned options) {
  ClientTransaction result;
  result.sender = "a@b.example";
  result.recipients = {{"x@d.example", "NEVER", ""}, {"y@d.example", "", "rfc822;y@d.example"}};
  result.size = 20;
  result.requiretls = (options & 64U) != 0 ? RequireTls::yes : RequireTls::no;
  return result;
}

TlsOutcome handshake(unsigned options) {
  if ((options & 2U) != 0) {
    return TlsVerified{};
  }
  if ((options & 4U) != 0) {
    return TlsFailed{"tls-alert-40"};
  }
  return TlsUnverified{{}, {{relay::net::CertificateFaultKind::expired, "X"}}};
}

void obey(ClientSession& session, unsigned options, int& transactions, std::string& said) {
  for (int i = 0; i < 10; ++i) {
    said += session.take_output();
    if (const auto result = session.take_result()) {
      for (const auto& recipient : result->recipients) {
        if (recipient.enhanced_code.empty()) {
          std::abort();
        }
      }
    }
    switch (session.demand()) {
      case Demand::read:
        return;
      case Demand::start_tls:
        session.tls_established(handshake(options));
        break;
      case Demand::ready:
        if (++transactions > 5) {
          session.quit();
        } else {
          session.begin(transaction(options));
        }
        break;
      case Demand::send_body:
        session.body("Subject: x\r\n\r\n.x");
        session.body_end();
        break;
      case Demand::close:
        if (!session.end()) {
          std::abort();
        }
        return;
    }
  }
}

// Whether a MAIL command went out that lacks REQUIRETLS.
bool mail_without_requiretls(const std::string& said) {
  for (auto at = said.find("MAIL FROM"); at != std::string::npos;
       at = said.find("MAIL FROM", at + 1)) {
    if (said.substr(at, said.find('\r', at) - at).find(" REQUIRETLS") == std::string::npos) {
      return true;
    }
  }
  return false;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const unsigned options = data[0];
  const std::string bytes(data + 1, data + size);
  ClientSettings settings;
  settings.helo_name = "relay.example";
  settings.tls = (options & 1U) != 0 ? TlsRequirement::verified() : TlsRequirement::opportunistic();
  ClientSession session(settings);
  const std::size_t cut = (options & 8U) != 0 ? 1 : bytes.size() + 1;
  int transactions = 0;
  std::string said;
  for (std::size_t at = 0; at < bytes.size() && session.demand() != Demand::close; at += cut) {
    session.receive(std::string_view(bytes).substr(at, cut));
    obey(session, options, transactions, said);
  }
  session.closed("eof");
  obey(session, options, transactions, said);
  const bool mail = said.find("MAIL FROM") != std::string::npos;
  if (session.demand() != Demand::close ||
      (mail && settings.tls == TlsRequirement::verified() && (options & 2U) == 0) ||
      ((options & 64U) != 0 && mail_without_requiretls(said))) {
    std::abort();
  }
  return 0;
}
