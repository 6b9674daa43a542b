#include <algorithm>
#include <array>
#include <utility>

#include "relay/cli/check_findings.h"

namespace relay::cli {
namespace {

using Remedy = std::pair<std::string_view, std::string_view>;

constexpr std::array kRemedies{
    // MX records
    Remedy{"mx-lookup-failed",
           "Ask the domain's name servers for the MX records directly and mend what fails there."},
    Remedy{"no-such-domain", "Check the spelling of the domain, and that it is registered."},
    Remedy{"null-mx",
           "The domain says that it takes no mail; remove the MX record '0 .' if it "
           "shall."},
    Remedy{"mx-names-no-host", "Publish MX records that name hosts."},
    Remedy{"mx-loops-back",
           "Send the domain's mail on with a route, or remove this relay from its "
           "MX records."},
    Remedy{"mx-not-published",
           "Publish an MX record for the host, or check one of the hosts that have one."},
    // _mta-sts record
    Remedy{"record-absent", "Publish a TXT record 'v=STSv1; id=1' at _mta-sts, and a policy."},
    Remedy{"record-several", "Remove all but one TXT record that begins with 'v=STSv1'."},
    Remedy{"record-malformed",
           "Write the TXT record as 'v=STSv1; id=20260301', with an id of 1 to "
           "32 letters and digits."},
    Remedy{"record-lookup-failed",
           "Mend the name servers' answer for the TXT records at _mta-sts; until then new senders "
           "know of no policy."},
    // Fetching the policy
    Remedy{"media-type", "Serve the policy as 'Content-Type: text/plain'."},
    Remedy{"policy-too-large", "Keep the policy below 64 KiB."},
    Remedy{"no-address", "Publish an address record for the policy host."},
    Remedy{"dns-failure", "Mend the name servers' answer for the policy host's addresses."},
    Remedy{"address-refused", "Publish public addresses for the policy host."},
    Remedy{"timeout", "Make the policy host answer within seconds."},
    Remedy{"handshake-timeout", "Make the policy host answer TLS handshakes on port 443."},
    Remedy{"connect-timeout", "Open port 443 of the policy host to everybody."},
    Remedy{"connection-refused", "Let a web server listen on port 443 of the policy host."},
    Remedy{"unreachable", "Make the policy host's addresses reachable."},
    Remedy{"connect-failed", "Make port 443 of the policy host reachable."},
    Remedy{"policy-fetch-error",
           "Make the policy host serve the policy at the URL with status "
           "200."},
    Remedy{
        "policy-host-certificate",
        "Give the policy host a valid certificate from a public authority for its own name, with "
        "the whole chain."},
    Remedy{"policy-certificate-expires",
           "Renew the policy host's certificate and reload its web server: once it has ended, "
           "senders keep the old policy until it expires and then have none."},
    // Policy body
    Remedy{"empty-body", "Serve the policy's lines at the URL."},
    Remedy{"byte-order-mark",
           "Save the file as plain ASCII or as UTF-8 without a byte order mark."},
    Remedy{"empty-line", "Remove the line."},
    Remedy{"leading-blank", "Begin the line with the field's name."},
    Remedy{"html", "Serve the policy itself as plain text, not a web page."},
    Remedy{"no-colon", "Write the line as 'name: value', or remove it."},
    Remedy{"blank-before-colon", "Put the colon right behind the field's name."},
    Remedy{"bad-version", "Write 'version: STSv1'."},
    Remedy{"bad-mode", "Write 'mode: enforce', 'mode: testing' or 'mode: none', in lower case."},
    Remedy{"bad-max-age", "Write max_age as whole seconds, for example 'max_age: 1209600'."},
    Remedy{"max-age-too-large", "Use at most 31557600 seconds (one year)."},
    Remedy{"bad-mx", "Write one host name, or '*.' and a name, on each mx line."},
    Remedy{"trailing-dot", "Remove the dot at the end of the name."},
    Remedy{"u-label", "Write the name in A-labels (xn--)."},
    Remedy{"bad-field-name", "Remove the line, or use letters, digits, '_', '-' and '.' only."},
    Remedy{"empty-value", "Give the field a value, or remove the line."},
    Remedy{"bad-field-value", "Use printable UTF-8 text, or remove the line."},
    Remedy{"duplicate-field", "Remove the line; only the first one counts."},
    Remedy{"no-version", "Add the line 'version: STSv1'."},
    Remedy{"no-mode",
           "Add a line 'mode: testing', and 'mode: enforce' once the reports are clean."},
    Remedy{"no-max-age", "Add the line 'max_age: 1209600'."},
    Remedy{"no-usable-mx", "List the MX hosts by name, one on each mx line."},
    Remedy{"no-mx", "Add an mx line for each MX host."},
    // What the policy says
    Remedy{"mode-testing", "Publish 'mode: enforce' and a new id once reports show no failures."},
    Remedy{"mode-none", "Publish 'mode: testing' or 'mode: enforce' and a new id to be protected."},
    Remedy{"max-age-short",
           "Use a max_age of weeks: a short one lets an attacker who blocks the "
           "policy host wait for its end."},
    Remedy{"mx-pattern-unused", "Remove the mx line from the policy unless the host comes back."},
    Remedy{"no-protection",
           "Publish an MTA-STS policy, or sign the zone and publish TLSA records."},
    // The operator's rule
    Remedy{"exempted",
           "Mend what the exemption is for, then remove it (for an override: `stsrelay policy "
           "override DOMAIN --remove`)."},
    Remedy{"override",
           "Remove it with `stsrelay policy override DOMAIN --remove` once it is not wanted."},
    Remedy{"report-only",
           "Turn report-only off once `stsrelay status` counts nothing that would be refused."},
    Remedy{"would-refuse",
           "Mend the host's other findings before report-only ends: mail for it is refused then."},
    // a daemon's cache
    Remedy{"cache-decides", "Make the policy available again before then, or its protection ends."},
    Remedy{"cache-older",
           "It looks again when the TXT record's TTL is over; "
           "'stsrelay policy refresh DOMAIN' makes it look now."},
    // MX hosts
    Remedy{"mx-not-in-policy",
           "Add an mx line for the host to the policy and change the id, or "
           "remove its MX record."},
    Remedy{"mx-not-pinned", "Add the host to the operator's list for this domain, if it is right."},
    Remedy{"dane-required",
           "Publish TLSA records for the host in a signed zone, or lower the "
           "operator's level for this domain."},
    Remedy{"host-lookup-failed", "Mend the name servers' answer for the host's addresses."},
    Remedy{"host-missing", "Publish an address record for the host, or remove its MX record."},
    Remedy{"host-private-address",
           "Publish public addresses for the host; a route that names it allows private ones."},
    Remedy{"connect-failed-smtp",
           "Open port 25 of the host to everybody, and check that this "
           "machine may connect to port 25."},
    Remedy{"session-refused", "See the host's log for why it turns this client away."},
    Remedy{"starttls-missing", "Turn on STARTTLS at the host, for every client."},
    Remedy{"starttls-refused",
           "See the host's log for why STARTTLS fails: often a certificate or "
           "key file that cannot be read."},
    Remedy{"tls-handshake-failed",
           "Offer TLS 1.2 or newer with current cipher suites at the host."},
    Remedy{"tls-old", "Turn on TLS 1.2 and 1.3 at the host."},
    Remedy{"certificate-host-mismatch",
           "Give the host a certificate with its MX name as dNSName; the common name does not "
           "count."},
    Remedy{"certificate-expired", "Renew the host's certificate and reload its mail server."},
    Remedy{"certificate-not-trusted",
           "Use a certificate from a public authority and send the intermediate certificates with "
           "it."},
    Remedy{"certificate-expires",
           "Renew the host's certificate, reload its mail server, and see why it is not renewed by "
           "itself."},
    Remedy{"certificate-not-yet-valid",
           "Set the host's clock, and use a certificate that is valid already."},
    Remedy{"certificate-revoked",
           "Ask the authority why it revoked the certificate, and use a new one, with a new key."},
    Remedy{"certificate-staple",
           "Make the host staple a fresh OCSP response, which its certificate promises, or use a "
           "certificate without that promise (TLS feature, must-staple)."},
    Remedy{"tlsa-lookup-failed",
           "Mend the name servers or signatures of the zone that holds the TLSA records."},
    Remedy{"tlsa-unusable", "Publish '3 1 1' records: the SHA-256 of the host's public key."},
    Remedy{"tlsa-no-match",
           "Publish the TLSA record of the present key beside the old one, and at every change of "
           "keys before the change."},
    Remedy{"tlsa-chain-faults",
           "Send the chain up to the certificate that the TLSA record names, "
           "with valid dates and the host's name."},
    // _smtp._tls record
    Remedy{"tls-rpt-absent",
           "Publish 'v=TLSRPTv1; rua=mailto:ADDRESS' at _smtp._tls to hear of failures."},
    Remedy{"tls-rpt-several", "Keep one TXT record that begins with 'v=TLSRPTv1' at _smtp._tls."},
    Remedy{"tls-rpt-malformed",
           "Write the record as 'v=TLSRPTv1; rua=mailto:ADDRESS', with several URIs separated by "
           "commas."},
    Remedy{
        "tls-rpt-no-destination",
        "Name at least one place in the record: 'rua=mailto:ADDRESS' or 'rua=https://HOST/PATH'."},
    Remedy{"tls-rpt-uri", "Write the URI as mailto:ADDRESS or https://HOST/PATH, or remove it."},
    Remedy{"tls-rpt-plain-http", "Offer the address by https:// and write it so."},
    Remedy{"tls-rpt-unsupported-scheme",
           "Use a mailto: or https: URI; no other can be reported to."},
    Remedy{"tls-rpt-no-scheme", "Write 'mailto:' before the address."},
    Remedy{"tls-rpt-several-recipients",
           "Give each address a mailto: URI of its own, separated by commas."},
    Remedy{"tls-rpt-ip-address", "Name the host by its domain name, not by its IP address."},
    Remedy{"tls-rpt-bad-escape",
           "Write '%' followed by two hex digits, also for ',', '!' and ';' (%2C, %21, %3B)."},
    Remedy{"tls-rpt-too-many", "Keep to ten URIs."},
    Remedy{"tls-rpt-too-long", "Use a shorter URI."},
    Remedy{"tls-rpt-lookup-failed", "Mend the name servers' answer for _smtp._tls."},
};

}  // namespace

std::string_view remedy(std::string_view code) {
  const auto* const found = std::find_if(kRemedies.begin(), kRemedies.end(),
                                         [&](const Remedy& each) { return each.first == code; });
  if (found != kRemedies.end()) {
    return found->second;
  }
  if (code.starts_with("http-3")) {
    return "Serve the policy at the URL itself: redirects are not followed.";
  }
  if (code.starts_with("http-")) {
    return "Serve the policy at the URL with status 200.";
  }
  if (code.starts_with("tls-rpt-")) {
    return remedy("tls-rpt-uri");
  }
  if (code.starts_with("tls-")) {
    return "Offer TLS 1.2 or newer at the policy host, for the name that the client sends (SNI).";
  }
  return {};
}

}  // namespace relay::cli
