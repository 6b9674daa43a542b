// The report for a person: the text part of a report mail (RFC 8460 §5.3).
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "rpt/report.h"
#include "rpt/text.h"

namespace rpt {
namespace {

constexpr std::size_t kWidth = 76;
constexpr std::size_t kMaxText = 200;  // of one text that somebody else chose
constexpr std::size_t kMaxPolicies = 20;
constexpr std::size_t kMaxNames = 5;
constexpr std::string_view kMode = "mode:";
constexpr std::size_t kNameWidth = 56;  // that a line has room for

std::string shown(std::string_view text) {
  return printable(text, kMaxText);
}

// Appends text as lines that begin with indent blanks; a word longer than a line stands alone.
void append_wrapped(std::string& output, std::string_view text, std::size_t indent) {
  std::size_t column = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    const std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (word.empty()) {
      continue;
    }
    if (column > 0 && column + 1 + word.size() > kWidth) {
      output += '\n';
      column = 0;
    }
    if (column == 0) {
      output.append(indent, ' ');
      column = indent;
    } else {
      output += ' ';
      ++column;
    }
    output += word;
    column += word.size();
  }
  output += '\n';
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return std::to_string(count) + ' ' + std::string{noun} + (count == 1 ? "" : "s");
}

// "mx1.example.net (9), mx2.example.net (2), and 3 more": the most frequent first.
using Names = std::map<std::string, std::uint64_t>;
std::string listed(const Names& names) {
  std::vector<Names::const_iterator> order;
  for (auto at = names.begin(); at != names.end(); ++at) {
    order.push_back(at);
  }
  std::stable_sort(order.begin(), order.end(),
                   [](auto a, auto b) { return a->second > b->second; });
  std::string text;
  for (std::size_t i = 0; i < std::min(order.size(), kMaxNames); ++i) {
    text += (i > 0 ? ", " : "") + printable(order[i]->first, kNameWidth) + " (" +
            std::to_string(order[i]->second) + ")";
  }
  if (order.size() > kMaxNames) {
    text += ", and " + std::to_string(order.size() - kMaxNames) + " more";
  }
  return text;
}

struct Kind {
  std::uint64_t sessions = 0;
  Names servers;
  Names reasons;
};

// The failures of one element by result type, the most frequent first.
std::vector<std::pair<ResultType, Kind>> kinds(const PolicySummary& summary) {
  std::map<ResultType, Kind> by_type;
  for (const auto& [failure, sessions] : summary.failures) {
    Kind& kind = by_type[failure.type];
    kind.sessions += sessions;
    const std::string& server = failure.receiving_mx_hostname;
    const std::string& address = failure.receiving_ip;
    if (!server.empty() || !address.empty()) {
      kind.servers[server.empty() ? address : server] += sessions;
    }
    if (!failure.reason_code.empty()) {
      kind.reasons[failure.reason_code] += sessions;
    }
  }
  std::vector<std::pair<ResultType, Kind>> ordered{by_type.begin(), by_type.end()};
  std::stable_sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
    return a.second.sessions > b.second.sessions;
  });
  return ordered;
}

std::string title(const PolicyDescription& policy) {
  std::string domain = shown(policy.domain);
  switch (policy.type) {
    case PolicyType::tlsa:
      return "DANE, TLSA records of " + domain;
    case PolicyType::sts: {
      const auto line = std::find_if(policy.strings.begin(), policy.strings.end(),
                                     [](const auto& each) { return each.starts_with(kMode); });
      if (line == policy.strings.end()) {
        return "MTA-STS policy of " + domain;
      }
      std::string_view mode = std::string_view{*line}.substr(kMode.size());
      mode.remove_prefix(std::min(mode.find_first_not_of(" \t"), mode.size()));
      return "MTA-STS policy of " + domain + ", mode " + shown(mode);
    }
    case PolicyType::no_policy_found:
      return "No policy of " + domain + ", neither DANE nor MTA-STS";
  }
  return domain;
}

void append_kind(std::string& output, ResultType type, const Kind& kind) {
  constexpr std::size_t kIndent = 4;
  const Explanation explanation = explain(type);
  append_wrapped(output, std::to_string(kind.sessions) + " x " + std::string{wire_name(type)}, 2);
  append_wrapped(output, explanation.meaning, kIndent);
  if (!kind.servers.empty()) {
    append_wrapped(output, "Servers: " + listed(kind.servers), kIndent);
  }
  if (!kind.reasons.empty()) {
    append_wrapped(output, "Reasons: " + listed(kind.reasons), kIndent);
  }
  append_wrapped(output, "Remedy: " + std::string{explanation.remedy}, kIndent);
}

void append_policy(std::string& output, const PolicySummary& summary) {
  output += '\n';
  append_wrapped(output, title(summary.policy), 0);
  append_wrapped(output,
                 counted(summary.successful_sessions, "session") + " succeeded, " +
                     std::to_string(summary.failed_sessions) + " failed.",
                 2);
  const auto ordered = kinds(summary);
  std::uint64_t causes = 0;
  for (const auto& [type, kind] : ordered) {
    output += '\n';
    append_kind(output, type, kind);
    causes += kind.sessions;
  }
  if (causes > summary.failed_sessions) {
    output += '\n';
    append_wrapped(output, "A session can fail for more than one reason.", 2);
  }
}

struct Totals {
  std::uint64_t succeeded = 0;
  std::uint64_t failed = 0;
};

Totals totals(const Report& report) {
  Totals sum;
  for (const PolicySummary& summary : report.policies) {
    sum.succeeded += summary.successful_sessions;
    sum.failed += summary.failed_sessions;
  }
  return sum;
}

void append_head(std::string& output, const Report& report, const Totals& sum) {
  const std::string date = date_text(report.day, "-");
  output += "TLS report for " + shown(report.domain) + "\n\n";
  output += "Sender:   " + shown(report.organization) + "\n";
  output += "Contact:  " + shown(report.contact) + "\n";
  output += "Period:   " + date + " 00:00:00 to " + date + " 23:59:59 UTC\n";
  output += "Report:   " + shown(report.id) + "\n";
  output += "Sessions: " + std::to_string(sum.succeeded) + " succeeded, " +
            std::to_string(sum.failed) + " failed\n\n";
  append_wrapped(output,
                 "This is an automatic report on how mail to this domain could be protected in "
                 "transit (SMTP TLS Reporting, RFC 8460). A session succeeded if its TLS was what "
                 "the policy asks for. The attached file says the same to programs.",
                 0);
  output += '\n';
  append_wrapped(output,
                 sum.failed == 0 ? "All went well; there is nothing to do."
                                 : "Some sessions failed; below is why, and the usual remedy.",
                 0);
}

}  // namespace

std::string summary_text(const Report& report) {
  std::string output;
  append_head(output, report, totals(report));
  const std::size_t count = std::min(report.policies.size(), kMaxPolicies);
  for (std::size_t i = 0; i < count; ++i) {
    append_policy(output, report.policies[i]);
  }
  if (report.policies.size() > count) {
    output += '\n';
    append_wrapped(
        output,
        "The attached file has " + counted(report.policies.size() - count, "further element") + ".",
        0);
  }
  return output;
}

}  // namespace rpt
