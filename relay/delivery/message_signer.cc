#include "relay/delivery/message_signer.h"

#include <algorithm>
#include <chrono>

#include "relay/message/author_domain.h"
#include "relay/message/dkim_canonical.h"
#include "relay/message/dkim_stream.h"

namespace relay::delivery {
namespace {

/// A message goes to several domains at about the same time.
constexpr std::size_t kKept = 64;

bool is_or_above(std::string_view domain, std::string_view author) {
  return author == domain || (author.size() > domain.size() && author.ends_with(domain) &&
                              author[author.size() - domain.size() - 1] == '.');
}

}  // namespace

SigningKeys keys_for(const SigningKeys& keys, std::string_view author_domain) {
  SigningKeys closest;
  for (const message::DkimSigner& key : keys) {
    if (!is_or_above(key.domain, author_domain)) {
      continue;
    }
    if (!closest.empty() && closest.front().domain.size() < key.domain.size()) {
      closest.clear();
    }
    if (closest.empty() || closest.front().domain == key.domain) {
      closest.push_back(key);
    }
  }
  return closest;
}

void MessageSigner::set_keys(std::shared_ptr<const SigningKeys> keys) {
  keys_ = std::move(keys);
  made_.clear();
}

std::string MessageSigner::fields_for(const spool::Envelope& envelope) {
  // Reports are signed when they are made (RFC 8460 §3).
  if (keys_->empty() || envelope.origin == spool::Origin::report) {
    return {};
  }
  const auto found =
      std::ranges::find_if(made_, [&](const auto& entry) { return entry.first == envelope.id; });
  if (found != made_.end()) {
    return found->second;
  }
  made_.emplace_front(envelope.id, made_for(envelope.id));
  if (made_.size() > kKept) {
    made_.pop_back();
  }
  return made_.front().second;
}

std::string MessageSigner::made_for(spool::MessageId id) const {
  message::DkimStream stream;
  for (std::uint32_t n = 0;; ++n) {
    auto slice = reader_.slice(id, n);
    if (!slice) {
      return {};  // It cannot be sent either, and that is reported there.
    }
    if (!*slice) {
      break;
    }
    stream.add(**slice);
  }
  const std::string hash = stream.body_hash();
  const auto parts = message::message_parts(stream.header());
  SigningKeys keys = keys_for(*keys_, message::author_domain(parts.fields));
  std::erase_if(keys, [&](const message::DkimSigner& key) {
    return message::signed_by(parts.fields, key.domain);
  });
  return keys.empty() ? std::string()
                      : message::sign_header(keys, stream.header(), hash, clock_.wall());
}

}  // namespace relay::delivery
