#include "sts/policy.h"

#include <algorithm>

#include "sts/text.h"

namespace sts {
namespace {

constexpr std::size_t kMaxDomain = 253;
constexpr std::size_t kMaxLabel = 63;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool equal_names(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

// RFC 5321 §4.1.2 sub-domain: letters, digits and inner hyphens.
bool is_sub_domain(std::string_view label) {
  return is_alnum(label.front()) && is_alnum(label.back()) &&
         std::all_of(label.begin(), label.end(), [](char c) { return is_alnum(c) || c == '-'; });
}

// What DNS serves as a host name in practice; an underscore is seen, a star is not a name.
bool is_host_label(std::string_view label) {
  return std::all_of(label.begin(), label.end(),
                     [](char c) { return is_alnum(c) || c == '-' || c == '_'; });
}

// Whether every label passes, and the name is no IP address: no top-level label is all digits.
template <class LabelTest>
bool is_name(std::string_view name, LabelTest passes) {
  if (name.empty() || name.size() > kMaxDomain) {
    return false;
  }
  std::string_view label;
  do {
    label = name.substr(0, name.find('.'));
    if (label.empty() || label.size() > kMaxLabel || !passes(label)) {
      return false;
    }
    name.remove_prefix(label.size());
    if (name == ".") {
      return false;
    }
    name.remove_prefix(name.empty() ? 0 : 1);
  } while (!name.empty());
  return !std::all_of(label.begin(), label.end(), is_digit);
}

constexpr std::string_view kWildcard = "*.";

}  // namespace

std::string_view name(Mode mode) {
  switch (mode) {
    case Mode::enforce:
      return "enforce";
    case Mode::testing:
      return "testing";
    case Mode::none:
      return "none";
  }
  return "";
}

std::optional<MxPattern> MxPattern::parse(std::string_view text) {
  std::string_view domain = text;
  if (domain.starts_with(kWildcard)) {
    domain.remove_prefix(kWildcard.size());
  }
  if (!is_name(domain, is_sub_domain)) {
    return std::nullopt;
  }
  std::string folded{text};
  std::transform(folded.begin(), folded.end(), folded.begin(), lower);
  return MxPattern{std::move(folded)};
}

bool MxPattern::matches(std::string_view host) const {
  if (host.ends_with('.')) {
    host.remove_suffix(1);
  }
  std::string_view pattern = text_;
  std::string_view name = host;
  if (pattern.starts_with(kWildcard)) {
    const auto dot = host.find('.');
    if (dot == std::string_view::npos) {
      return false;
    }
    name.remove_prefix(dot + 1);
    pattern.remove_prefix(kWildcard.size());
  }
  // The grammar last: most patterns of a list name another host, and decisions are to be quick.
  return equal_names(pattern, name) && is_name(host, is_host_label);
}

bool Policy::covers(std::string_view mx_host) const {
  return std::any_of(mx.begin(), mx.end(),
                     [&](const MxPattern& pattern) { return pattern.matches(mx_host); });
}

std::vector<std::string> policy_lines(std::string_view body) {
  if (body.starts_with(kByteOrderMark)) {
    body.remove_prefix(kByteOrderMark.size());
  }
  std::vector<std::string> lines;
  while (!body.empty()) {
    const auto end = body.find('\n');
    std::string_view line = body.substr(0, end);
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    if (end != std::string_view::npos && line.ends_with('\r')) {
      line.remove_suffix(1);
    }
    if (!line.empty()) {
      lines.emplace_back(line);
    }
  }
  return lines;
}

std::string ParsedPolicy::failure_code() const {
  const auto fatal =
      std::find_if(diagnostics.begin(), diagnostics.end(),
                   [](const Diagnostic& each) { return each.severity == Severity::fatal; });
  return fatal == diagnostics.end() ? std::string{} : fatal->code;
}

}  // namespace sts
