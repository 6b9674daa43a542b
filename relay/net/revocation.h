// Whether certificates are also checked for having been revoked. Pure.
#pragma once

namespace relay::net {

/// Only by what the server itself sends along (OCSP stapling, RFC 6066 §8): nobody is ever asked,
/// for that would tell the authority where mail goes, and its silence would hold mail up.
enum class Revocation {
  off,      ///< servers are not asked for a staple
  stapled,  ///< a certificate that is revoked, or lacks the staple it promises, is not trusted
};

}  // namespace relay::net
