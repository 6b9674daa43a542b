#include "relay/message/dkim_signer.h"

#include <algorithm>

#include <fmt/format.h>

#include "relay/message/digest.h"
#include "relay/message/dkim_canonical.h"
#include "relay/message/folded_field.h"
#include "relay/smtp/ascii.h"

namespace relay::message {
namespace {

/// What all signatures of a message have in common.
struct Content {
  MessageParts parts;
  std::string body_hash;
  Time now;
};

std::ptrdiff_t count(const std::vector<std::string_view>& fields, std::string_view name) {
  return std::ranges::count_if(fields, [name](std::string_view field) {
    return smtp::equal_ignoring_case(field_name(field), name);
  });
}

std::vector<std::string> signed_names(const std::vector<DkimField>& wanted,
                                      const std::vector<std::string_view>& fields) {
  std::vector<std::string> names;
  const auto add = [&](const DkimField& field) {
    const std::ptrdiff_t more = field.addition == DkimField::Addition::refused ? 1 : 0;
    names.insert(names.end(), static_cast<std::size_t>(count(fields, field.name) + more),
                 smtp::lower(field.name));
  };
  // RFC 6376 §5.4: From MUST be signed.
  if (std::ranges::none_of(wanted, [](const DkimField& field) {
        return smtp::equal_ignoring_case(field.name, "from");
      })) {
    add({"from"});
  }
  std::ranges::for_each(wanted, add);
  return names;
}

std::string signature_field(const DkimSigner& with, const Content& content) {
  const auto names = signed_names(with.fields, content.parts.fields);
  const auto seconds = std::chrono::floor<std::chrono::seconds>(content.now).time_since_epoch();
  FoldedField field("DKIM-Signature:");
  field.add("v=1;");
  field.add(fmt::format("a={}-sha256;", with.key.algorithm()));
  field.add("c=relaxed/relaxed;");
  field.add(fmt::format("d={};", with.domain));
  field.add(fmt::format("s={};", with.selector));
  field.add(fmt::format("t={};", seconds.count()));
  for (std::size_t i = 0; i < names.size(); ++i) {
    field.add(fmt::format("{}{}{}", i == 0 ? "h=" : "", names[i], i + 1 < names.size() ? ":" : ";"),
              i == 0 ? " " : "");
  }
  field.add(fmt::format("bh={};", content.body_hash));
  field.add("b=");
  field.fill(base64(with.key.sign(signing_input(content.parts.fields, names, field.text()))));
  return field.text() + "\r\n";
}

}  // namespace

std::vector<DkimField> dkim_report_fields() {
  return {{"From"},
          {"To"},
          {"Subject"},
          {"Date"},
          {"Message-ID"},
          {"MIME-Version"},
          {"Content-Type"},
          {"TLS-Report-Domain"},
          {"TLS-Report-Submitter"},
          {"Auto-Submitted"},
          {"TLS-Required"}};
}

std::vector<DkimField> dkim_mail_fields() {
  constexpr auto kAllowed = DkimField::Addition::allowed;
  return {{"From"},
          {"To"},
          {"Cc"},
          {"Subject"},
          {"Date"},
          {"Reply-To"},
          {"Message-ID"},
          {"MIME-Version"},
          {"Content-Type"},
          {"Content-Transfer-Encoding"},
          {"Sender", kAllowed},
          {"In-Reply-To", kAllowed},
          {"References", kAllowed},
          {"List-Id", kAllowed},
          {"List-Unsubscribe", kAllowed},
          {"List-Unsubscribe-Post", kAllowed}};
}

std::string sign(const DkimSigner& with, std::string_view message, Time now) {
  return sign(std::span(&with, 1), message, now);
}

std::string sign(std::span<const DkimSigner> with, std::string_view message, Time now) {
  const MessageParts parts = message_parts(message);
  const std::string_view header = message.substr(0, message.size() - parts.body.size());
  return sign_header(with, header, sha256(relaxed_body(parts.body)), now);
}

std::string sign_header(std::span<const DkimSigner> with, std::string_view header,
                        std::string_view body_hash, Time now) {
  const Content content{message_parts(header), base64(body_hash), now};
  std::string fields;
  for (const DkimSigner& signer : with) {
    fields += signature_field(signer, content);
  }
  return fields;
}

}  // namespace relay::message
