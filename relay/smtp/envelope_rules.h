// Which senders and recipients a client may name, and which senders become others. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace relay::smtp {

/// Patterns in lower case: "a@example.com", "example.com", "*.example.com" (all below it), and "<>"
/// for the null sender. deny goes before allow; with an empty allow all others pass.
struct AddressFilter {
  std::vector<std::string> allow, deny;
};

/// to: "ops@example.com", or "@example.com", which keeps what stands before the @.
struct SenderRewrite {
  std::string match, to;
};

struct EnvelopeRules {
  std::vector<AddressFilter> senders, recipients;  ///< an address has to pass all of them
  std::vector<SenderRewrite> rewrites;             ///< the first match counts
};

/// address: "local@domain", any case; "": the null sender.
[[nodiscard]] bool permits(const std::vector<AddressFilter>& filters, std::string_view address);

/// The address that address becomes; itself where nothing matches, and for the null sender.
[[nodiscard]] std::string rewritten(const std::vector<SenderRewrite>& rewrites,
                                    std::string_view address);

}  // namespace relay::smtp
