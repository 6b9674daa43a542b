#include "rpt/record.h"

#include <algorithm>

#include "rpt/text.h"

namespace rpt {
namespace {

constexpr std::string_view kVersion = "v=TLSRPTv1";
constexpr std::string_view kRua = "rua=";
constexpr std::size_t kMaxExtensionName = 32;
constexpr std::size_t kMaxShownUri = 200;

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t";
  text.remove_prefix(std::min(text.find_first_not_of(kBlanks), text.size()));
  text.remove_suffix(text.size() - (text.find_last_not_of(kBlanks) + 1));
  return text;
}

// What stands before the delimiter, which is consumed too; text is empty after the last part.
std::string_view take_until(char delimiter, std::string_view& text) {
  const auto end = std::min(text.find(delimiter), text.size());
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return trimmed(part);
}

// The prose asks for the literal "v=TLSRPTv1;", the ABNF allows blanks before the semicolon. Both
// are taken: no other version can look like this.
bool asks_for_reports(std::string_view record) {
  if (!record.starts_with(kVersion)) {
    return false;
  }
  record.remove_prefix(kVersion.size());
  record.remove_prefix(std::min(record.find_first_not_of(" \t"), record.size()));
  return record.starts_with(';');
}

bool is_extension(std::string_view field) {
  const auto equals = field.find('=');
  if (equals == std::string_view::npos || equals == 0 || equals > kMaxExtensionName ||
      equals + 1 == field.size()) {
    return false;
  }
  const std::string_view name = field.substr(0, equals);
  const std::string_view value = field.substr(equals + 1);
  return is_alnum(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return is_alnum(c) || c == '_' || c == '-' || c == '.'; }) &&
         std::all_of(value.begin(), value.end(),
                     [](char c) { return c >= '!' && c <= '~' && c != '='; });
}

// Credentials stand before an "@"; whatever does is left out, but for an address of mail.
std::string without_credentials(std::string_view uri) {
  constexpr std::string_view kMailto = "mailto:";
  const auto at = uri.rfind('@');
  if (at == std::string_view::npos || lower(uri.substr(0, kMailto.size())) == kMailto) {
    return std::string{uri};
  }
  const auto scheme = uri.find(':');
  const auto begin = scheme < at ? uri.find_first_not_of('/', scheme + 1) : 0;
  return std::string{uri.substr(0, std::min(begin, at))} + std::string{uri.substr(at + 1)};
}

void skip(Record& record, std::string_view uri, std::string reason) {
  if (record.skipped.size() < kMaxSkipped) {
    record.skipped.push_back(
        {printable(without_credentials(uri), kMaxShownUri), std::move(reason)});
  }
}

void add_uri(Record& record, std::string_view uri, const ToAscii& to_ascii) {
  auto destination = parse_destination(uri, to_ascii);
  if (!destination) {
    skip(record, uri, std::move(destination.error()));
    return;
  }
  auto& known = record.destinations;
  if (std::any_of(known.begin(), known.end(),
                  [&](const Destination& each) { return each.uri == destination->uri; })) {
    return;
  }
  if (known.size() == kMaxDestinations) {
    skip(record, uri, "too-many");
    return;
  }
  known.push_back(std::move(*destination));
}

Expected<Record, RecordFault> parse_record(std::string_view text, const ToAscii& to_ascii) {
  (void)take_until(';', text);  // the version
  Record record;
  bool has_rua = false;
  while (!trimmed(text).empty()) {
    std::string_view field = take_until(';', text);
    if (!field.starts_with(kRua)) {
      if (!is_extension(field)) {
        return Unexpected<RecordFault>{RecordFault::malformed};
      }
      continue;
    }
    has_rua = true;
    field.remove_prefix(kRua.size());
    do {
      add_uri(record, take_until(',', field), to_ascii);
    } while (!field.empty());
  }
  if (!has_rua) {
    return Unexpected<RecordFault>{RecordFault::malformed};
  }
  return record;
}

}  // namespace

std::string_view name(RecordFault fault) {
  switch (fault) {
    case RecordFault::absent:
      return "absent";
    case RecordFault::several:
      return "several";
    case RecordFault::malformed:
      return "malformed";
  }
  return "";
}

Expected<Record, RecordFault> parse_records(std::span<const std::string> records,
                                            const ToAscii& to_ascii) {
  // RFC 8460 §3: records of other kinds are discarded first; then exactly one must be left. They
  // are counted before they are judged, so a good one beside a bad one is no record either.
  const std::string* only = nullptr;
  for (const std::string& record : records) {
    if (!asks_for_reports(record)) {
      continue;
    }
    if (only != nullptr) {
      return Unexpected<RecordFault>{RecordFault::several};
    }
    only = &record;
  }
  if (only == nullptr) {
    return Unexpected<RecordFault>{RecordFault::absent};
  }
  return parse_record(*only, to_ascii);
}

}  // namespace rpt
