#include "relay/message/dkim_verifier.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "relay/message/digest.h"
#include "relay/message/dkim_canonical.h"
#include "relay/message/dkim_public_key.h"
#include "relay/message/dkim_tags.h"
#include "relay/smtp/ascii.h"

namespace relay::message {
namespace {

struct Ways {
  Canonicalization header = Canonicalization::simple;
  Canonicalization body = Canonicalization::simple;
};

std::optional<Canonicalization> way(std::string_view name) {
  return name == "relaxed"  ? std::optional(Canonicalization::relaxed)
         : name == "simple" ? std::optional(Canonicalization::simple)
                            : std::nullopt;
}

std::optional<Ways> ways(std::string_view value) {
  const std::size_t slash = value.find('/');
  const auto header = way(value.substr(0, slash));
  const auto body = slash == std::string_view::npos ? std::optional(Canonicalization::simple)
                                                    : way(value.substr(slash + 1));
  return header && body ? std::optional(Ways{*header, *body}) : std::nullopt;
}

bool is_at_or_below(std::string_view name, std::string_view domain) {
  return name == domain || (name.ends_with(domain) && name.size() > domain.size() &&
                            name[name.size() - domain.size() - 1] == '.');
}

bool is_past(std::string_view seconds, Time now) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(seconds.data(), seconds.data() + seconds.size(), value);
  return error == std::errc() && end == seconds.data() + seconds.size() &&
         now > std::chrono::sys_seconds(std::chrono::seconds(value));
}

bool signs_from(const std::vector<std::string>& names) {
  return std::ranges::any_of(
      names, [](const std::string& each) { return smtp::equal_ignoring_case(each, "from"); });
}

/// One field of a message on its way to a claim.
class Examination {
 public:
  Examination(const MessageParts& parts, std::size_t field, Time now)
      : parts_(parts), field_(parts.fields[field]), index_(field), now_(now) {}

  DkimClaim claim() {
    claim_.fault = examine();
    return std::move(claim_);
  }

 private:
  std::string examine() {
    auto tags = DkimTags::parse(field_.substr(std::min(field_.find(':'), field_.size() - 1) + 1));
    if (!tags) {
      return "malformed";
    }
    claim_.domain = smtp::lower(tags->value("d"));
    claim_.selector = tags->value("s");
    for (const char* const needed : {"v", "a", "b", "bh", "d", "h", "s"}) {
      if (tags->value(needed).empty()) {
        return "malformed";
      }
    }
    std::string fault = fault_of(*tags);
    return fault.empty() ? fill(*tags) : fault;
  }

  std::string fault_of(const DkimTags& tags) {
    const std::string_view algorithm = tags.value("a");
    if (tags.value("v") != "1") {
      return "version";
    }
    if (algorithm != "rsa-sha256" && algorithm != "ed25519-sha256") {  // RFC 8301 §3.1: no SHA-1
      return "algorithm";
    }
    claim_.algorithm = algorithm.substr(0, algorithm.find('-'));
    const auto methods = dkim_list(tags.value("q", "dns/txt"));
    if (std::ranges::find(methods, "dns/txt") == methods.end()) {
      return "query-method";
    }
    const std::string identity = smtp::lower(tags.value("i", "@" + claim_.domain));
    claim_.identity_domain =
        identity.substr(std::min(identity.rfind('@'), identity.size() - 1) + 1);
    if (!is_at_or_below(claim_.identity_domain, claim_.domain)) {
      return "identity";
    }
    if (tags.find("l") != nullptr) {
      return "length-limited";
    }
    return tags.find("x") != nullptr && is_past(tags.value("x"), now_) ? "expired" : "";
  }

  std::string fill(const DkimTags& tags) {
    const auto chosen = ways(tags.value("c", "simple/simple"));
    if (!chosen) {
      return "canonicalization";
    }
    const auto names = dkim_list(tags.value("h"));
    if (!signs_from(names)) {
      return "from-not-signed";
    }
    const auto signature = from_base64(tags.value("b"));
    const auto body_hash = from_base64(tags.value("bh"));
    if (!signature || !body_hash) {
      return "malformed";
    }
    claim_.signature = *signature;
    claim_.input = input(names, tags.find("b")->place, chosen->header);
    const std::string body = chosen->body == Canonicalization::relaxed ? relaxed_body(parts_.body)
                                                                       : simple_body(parts_.body);
    return sha256(body) == *body_hash ? "" : "body-changed";
  }

  // RFC 6376 §3.7: the field itself comes last, with nothing in its b=; h= never means it.
  [[nodiscard]] std::string input(const std::vector<std::string>& names, std::string_view b,
                                  Canonicalization how) const {
    auto others = parts_.fields;
    others.erase(others.begin() + static_cast<std::ptrdiff_t>(index_));
    std::string unsigned_field(field_);
    unsigned_field.erase(static_cast<std::size_t>(b.data() - field_.data()), b.size());
    return signing_input(others, names, unsigned_field, how);
  }

  const MessageParts& parts_;
  std::string_view field_;
  std::size_t index_;
  Time now_;
  DkimClaim claim_;
};

std::string fault_of_key(const DkimClaim& claim, const DkimPublicKey& key) {
  if (key.algorithm() != claim.algorithm) {
    return "key-kind";
  }
  if (!key.allows_sha256()) {
    return "key-hash";
  }
  if (!key.serves_reports()) {
    return "key-service";
  }
  if (key.is_strict() && claim.identity_domain != claim.domain) {
    return "identity";
  }
  return key.verifies(claim.input, claim.signature) ? "" : "signature-wrong";
}

}  // namespace

std::string DkimClaim::key_name() const {
  return smtp::lower(fmt::format("{}._domainkey.{}", selector, domain));
}

std::vector<DkimClaim> dkim_claims(std::string_view message, Time now) {
  const MessageParts parts = message_parts(message);
  std::vector<DkimClaim> claims;
  for (std::size_t i = 0; i < parts.fields.size() && claims.size() < kMaxDkimClaims; ++i) {
    if (smtp::equal_ignoring_case(field_name(parts.fields[i]), "dkim-signature")) {
      claims.push_back(Examination(parts, i, now).claim());
    }
  }
  return claims;
}

std::string_view name(DkimResult result) {
  switch (result) {
    case DkimResult::pass:
      return "pass";
    case DkimResult::fail:
      return "fail";
    case DkimResult::temporary:
      return "temporary";
  }
  return {};
}

DkimVerdict judge(const DkimClaim& claim, std::span<const std::string> records) {
  if (!claim.fault.empty()) {
    return {DkimResult::fail, claim.fault, false};
  }
  if (records.size() != 1) {  // RFC 6376 §3.6.2.2: several are undefined
    return {DkimResult::fail, records.empty() ? "no-key" : "several-keys", false};
  }
  const auto key = DkimPublicKey::from_record(records.front());
  if (!key) {
    return {DkimResult::fail, key.error(), false};
  }
  std::string fault = fault_of_key(claim, *key);
  const DkimResult result = fault.empty() ? DkimResult::pass : DkimResult::fail;
  return {result, std::move(fault), key->declares_reports()};
}

}  // namespace relay::message
