#include "relay/message/submission_header.h"

#include <algorithm>
#include <array>

#include "relay/message/address_list.h"
#include "relay/smtp/ascii.h"

namespace relay::message {
namespace {

constexpr std::string_view kLineEnd = "\r\n";

bool is_continuation(std::string_view line) {
  return line.starts_with(' ') || line.starts_with('\t');
}

// RFC 5322 §4.5: blanks before the colon, as old software wrote them.
std::string lowered_name(std::string_view line) {
  auto name = line.substr(0, line.find(':'));
  while (name.ends_with(' ') || name.ends_with('\t')) {
    name.remove_suffix(1);
  }
  return smtp::lower(name);
}

bool is_signature(std::string_view name) {
  constexpr std::array<std::string_view, 4> kSignatures{"dkim-signature", "domainkey-signature",
                                                        "arc-message-signature", "arc-seal"};
  return std::find(kSignatures.begin(), kSignatures.end(), name) != kSignatures.end();
}

}  // namespace

void SubmissionHeader::feed(std::string_view content, std::string& out) {
  while (in_header_ && !content.empty()) {
    const auto newline = content.find('\n');
    const auto length = newline == std::string_view::npos ? content.size() : newline + 1;
    line_.append(content.substr(0, length));
    content.remove_prefix(length);
    if (newline != std::string_view::npos) {
      line(std::exchange(line_, {}), out);
    }
  }
  out.append(content);
}

void SubmissionHeader::finish(std::string& out) {
  if (in_header_) {
    end_header(out);
  }
}

void SubmissionHeader::line(std::string_view line, std::string& out) {
  if (line == kLineEnd) {
    end_header(out);
    out.append(line);
    return;
  }
  if (!is_continuation(line)) {
    if (in_from_) {
      from_end_ = held_.size();
      in_from_ = false;
    }
    begin_field(line);
  }
  (holding_ ? held_ : out).append(line);
}

void SubmissionHeader::begin_field(std::string_view line) {
  const auto name = lowered_name(line);
  has_date_ = has_date_ || name == "date";
  has_message_id_ = has_message_id_ || name == "message-id";
  signed_ = signed_ || is_signature(name);
  relayed_ = relayed_ || name == "received";
  if (name != "from") {
    return;
  }
  ++from_fields_;
  if (from_fields_ == 1 && !facts_.rewrites.empty() && !signed_ && !relayed_) {
    holding_ = true;
    in_from_ = true;
  }
}

void SubmissionHeader::end_header(std::string& out) {
  in_header_ = false;
  if (in_from_) {
    from_end_ = held_.size();
  }
  if (holding_) {
    const bool own = !signed_ && !relayed_ && from_fields_ == 1;
    out.append(own ? from_field() : held_.substr(0, from_end_));
    out.append(held_, from_end_);
    held_.clear();
  }
  if (signed_) {
    return;  // the signature may cover that there is none
  }
  if (!has_date_ && !facts_.date.empty()) {
    out.append("Date: ").append(facts_.date).append(kLineEnd);
  }
  if (!has_message_id_ && !facts_.message_id.empty()) {
    out.append("Message-ID: ").append(facts_.message_id).append(kLineEnd);
  }
}

// The field with other addresses in it, all else as it was.
std::string SubmissionHeader::from_field() const {
  auto field = held_.substr(0, from_end_);
  const auto colon = field.find(':') + 1;
  auto listed = parse_address_list(std::string_view(field).substr(colon));
  if (!listed) {
    return field;
  }
  // From the last one on, so that the places of the others stay.
  std::ranges::reverse(*listed);
  for (const auto& each : *listed) {
    const bool whole = each.text.find('@') != std::string::npos;
    const auto address = whole ? each.text : each.text + "@" + facts_.hostname;
    const auto other = smtp::rewritten(facts_.rewrites, address);
    if (other != address) {
      field.replace(colon + each.begin, each.end - each.begin, other);
    }
  }
  return field;
}

}  // namespace relay::message
