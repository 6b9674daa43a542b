#include "rpt/explanation.h"

namespace rpt {

Explanation explain(ResultType type) {
  switch (type) {
    case ResultType::starttls_not_supported:
      return {
          "The MX host did not offer STARTTLS, or refused it.",
          "Turn STARTTLS on at that host; if only some senders see this, look for a firewall or "
          "proxy before it that takes STARTTLS out of the EHLO reply."};
    case ResultType::certificate_host_mismatch:
      return {"The MX host's certificate does not carry the name that the sender looked for.",
              "Issue a certificate whose subject alternative names include the name in the MX "
              "record, and see that the host presents it for that name."};
    case ResultType::certificate_expired:
      return {"The MX host's certificate, or one above it, had expired.",
              "Renew the certificate, reload the mail server afterwards, and let both happen "
              "by themselves in future."};
    case ResultType::certificate_not_trusted:
      return {"No chain led from the MX host's certificate to an authority that the sender trusts.",
              "Use a certificate of a public authority and send the intermediate certificates with "
              "it (the full chain)."};
    case ResultType::validation_failure:
      return {
          "TLS could not be negotiated or validated for a reason without a type of its own.",
          "Read the reason beside it. Usual ones: the MX host is not in the MTA-STS policy, the "
          "TLSA record does not match the certificate, or no TLS version or cipher in common."};
    case ResultType::tlsa_invalid:
      return {"TLSA records exist, but the sender could use none of them.",
              "Publish well-formed records of usage 2 or 3 (DANE-TA or DANE-EE), such as 3 1 1, at "
              "_25._tcp of the MX host."};
    case ResultType::dnssec_invalid:
      return {"DNSSEC validation of the MX host's records failed, so the mail could not be sent.",
              "Check the zone's signatures, their expiry and the DS record at the parent, at each "
              "name server of the zone."};
    case ResultType::dane_required:
      return {"The sender demands DANE for this domain and found no usable TLSA record.",
              "Publish DNSSEC-signed TLSA records for this MX host, or ask the sender why DANE is "
              "demanded."};
    case ResultType::sts_policy_fetch_error:
      return {"The _mta-sts record exists, but the policy could not be fetched.",
              "Open https://mta-sts.DOMAIN/.well-known/mta-sts.txt from outside: it has to answer "
              "200 at once, without a redirect."};
    case ResultType::sts_policy_invalid:
      return {"The MTA-STS policy was fetched but is not valid.",
              "Check its version, mode, mx and max_age lines and that it is served as text/plain."};
    case ResultType::sts_webpki_invalid:
      return {"The certificate of the policy host, mta-sts.DOMAIN, was not valid.",
              "Renew or replace that web server's certificate; it has to name mta-sts.DOMAIN."};
  }
  return {};
}

}  // namespace rpt
