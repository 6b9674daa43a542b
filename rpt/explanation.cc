// RFC 8460 §4.3 in plain words.
#include "rpt/report.h"

namespace rpt {

Explanation explain(ResultType type) {
  switch (type) {
    case ResultType::starttls_not_supported:
      return {"The server did not offer STARTTLS, or refused the command.",
              "Enable STARTTLS on this server, and see that no firewall or proxy filters it."};
    case ResultType::certificate_host_mismatch:
      return {"The certificate does not name the server that was asked for.",
              "Install a certificate whose subject alternative names have the MX host name."};
    case ResultType::certificate_expired:
      return {"A certificate of the server's chain had expired.",
              "Renew it, have renewal done by a program, and reload the mail server afterwards."};
    case ResultType::certificate_not_trusted:
      return {"The certificate chain leads to no trusted authority.",
              "Use a certificate of a public authority, and send its intermediate certificates."};
    case ResultType::validation_failure:
      return {"TLS could not be agreed on, or the server is not one that the policy allows.",
              "Look at the reason codes: sts-mx-mismatch asks for an mx line of the MTA-STS policy "
              "that names this server, dane-no-match for TLSA records that match its "
              "certificate, an alert or a broken handshake for the TLS settings of the server."};
    case ResultType::tlsa_invalid:
      return {"The TLSA records are signed, but none of them can be used.",
              "Publish records of usage 3 or 2 with selector 0 or 1 and matching type 1, such as "
              "'3 1 1' and the SHA-256 of the public key."};
    case ResultType::dnssec_invalid:
      return {"The answers of the DNS did not pass DNSSEC, or the TLSA lookup failed.",
              "Check the signatures of the zone, the DS records of its parent, and that its name "
              "servers answer TLSA queries."};
    case ResultType::dane_required:
      return {"The sender demands DANE, but the server has no TLSA records signed by DNSSEC.",
              "Sign the zone of the server and publish TLSA records, or ask the sender to drop "
              "the demand."};
    case ResultType::sts_policy_fetch_error:
      return {"An MTA-STS policy is announced, but could not be fetched.",
              "See that https://mta-sts.DOMAIN/.well-known/mta-sts.txt answers with status 200, "
              "without a redirect; or remove the _mta-sts TXT record."};
    case ResultType::sts_policy_invalid:
      return {"The MTA-STS policy that was fetched breaks the rules.",
              "Correct the policy file: version, mode, mx and max_age, each on a line of its own, "
              "served as text/plain."};
    case ResultType::sts_webpki_invalid:
      return {"The certificate of the MTA-STS policy host is not valid.",
              "Install a certificate of a public authority for the name mta-sts.DOMAIN."};
  }
  return {};
}

}  // namespace rpt
