#include <algorithm>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "relay/cli/report_views.h"
#include "rpt/report.h"

namespace relay::cli {
namespace {

constexpr std::size_t kReasonsListed = 3;
constexpr std::size_t kWarningsShown = 20;
constexpr std::size_t kColumns = 78;

enum class Style { heading, good, warning, bad };

class Painter {
 public:
  explicit Painter(ReportColour colour) : colour_(colour) {}

  [[nodiscard]] std::string operator()(Style style, std::string_view text) const {
    return colour_ == ReportColour::none ? std::string(text)
                                         : fmt::format("\x1b[{}m{}\x1b[0m", code(style), text);
  }

 private:
  static std::string_view code(Style style) {
    switch (style) {
      case Style::heading:
        return "1";
      case Style::good:
        return "32";
      case Style::warning:
        return "33";
      case Style::bad:
        return "31";
    }
    return {};
  }

  ReportColour colour_;
};

std::string printable_or(std::string_view text, std::string_view if_empty) {
  return text.empty() ? std::string(if_empty) : printable(text);
}

std::string counted(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

/// Words in lines of kColumns, each after an indent.
std::string wrapped(std::string_view text, std::size_t indent) {
  std::istringstream words{std::string(text)};
  const std::string margin(indent, ' ');
  std::string result;
  std::string line = margin;
  for (std::string word; words >> word;) {
    if (line.size() > indent && line.size() + 1 + word.size() > kColumns) {
      result += line + "\n";
      line = margin;
    }
    line += (line.size() > indent ? " " : "") + word;
  }
  return result + line + "\n";
}

std::string indented(const std::string& lines, std::size_t indent) {
  std::istringstream input(lines);
  std::string result;
  for (std::string line; std::getline(input, line);) {
    result += std::string(indent, ' ') + line + "\n";
  }
  return result;
}

std::string reasons_text(const std::map<std::string, std::uint64_t>& reasons) {
  std::vector<std::pair<std::string, std::uint64_t>> sorted(reasons.begin(), reasons.end());
  std::ranges::stable_sort(sorted, std::ranges::greater{},
                           &std::pair<std::string, std::uint64_t>::second);
  std::string text;
  for (std::size_t i = 0; i < std::min(sorted.size(), kReasonsListed); ++i) {
    text += (i == 0 ? "" : ", ") + printable(sorted[i].first);
  }
  if (sorted.size() > kReasonsListed) {
    text += fmt::format(" and {} more", sorted.size() - kReasonsListed);
  }
  return text;
}

std::string counts_text(const SessionCounts& counts, const Painter& paint) {
  const std::string share =
      paint(counts.failed == 0 ? Style::good : Style::bad, share_ok(counts) + " ok");
  return counts.total() == 0 ? "no sessions"
                             : fmt::format("{}, {}, {} failed", counted(counts.total(), "session"),
                                           share, counts.failed);
}

std::string failures_text(const ReporterSummary& reporter) {
  using Entry = std::pair<std::pair<std::string, std::string>, FailureGroup>;
  std::vector<Entry> sorted(reporter.failures.begin(), reporter.failures.end());
  std::ranges::stable_sort(sorted, std::ranges::greater{},
                           [](const Entry& entry) { return entry.second.sessions; });
  Table table({"FAILED", "RESULT TYPE", "MX HOST", "REASON"});
  for (const auto& [key, group] : sorted) {
    table.add({std::to_string(group.sessions), printable_or(key.first, "(no type)"),
               printable_or(key.second, "-"), reasons_text(group.reasons)});
  }
  return table.text();
}

std::string dkim_text(const std::map<std::string, std::size_t>& verdicts) {
  std::string text;
  for (const auto& [verdict, count] : verdicts) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count, printable(verdict));
  }
  return text;
}

std::string reporter_text(const std::string& submitter, const ReporterSummary& reporter,
                          const Painter& paint) {
  std::string text = fmt::format("\n  {} ({}): {}, {}\n",
                                 paint(Style::heading, printable_or(reporter.name, "(no name)")),
                                 printable_or(submitter, "no contact"),
                                 counted(reporter.reports, "report"), days_text(reporter.range));
  for (const auto& [type, counts] : reporter.by_policy) {
    text +=
        fmt::format("    {:<16} {}\n", printable_or(type, "(no type)"), counts_text(counts, paint));
  }
  if (reporter.by_policy.empty()) {
    text += "    no policies\n";
  }
  if (!reporter.dkim.empty()) {
    text += fmt::format("    {:<16} {}\n", "DKIM", dkim_text(reporter.dkim));
  }
  if (!reporter.failures.empty()) {
    text += indented(failures_text(reporter), 4);
  }
  return text;
}

/// Each result type once, what it means and what helps.
std::string explanations_text(const DomainSummary& domain, const Painter& paint) {
  std::set<std::string> types;
  for (const auto& [submitter, reporter] : domain.reporters) {
    for (const auto& [key, group] : reporter.failures) {
      types.insert(key.first);
    }
  }
  std::string text = types.empty() ? "" : "\n  What the failures mean, and what usually helps\n";
  for (const std::string& type : types) {
    text += fmt::format("    {}\n", paint(Style::warning, printable_or(type, "(no type)")));
    const auto known = rpt::parse_result_type(type);
    text += known
                ? wrapped(rpt::explain(*known).meaning, 6) + wrapped(rpt::explain(*known).remedy, 6)
                : wrapped("No type that RFC 8460 knows; ask the reporter what it means.", 6);
  }
  return text;
}

/// Where it matters, how sessions are counted.
std::string counting_text(const DomainSummary& domain) {
  const bool several = std::ranges::any_of(
      domain.reporters, [](const auto& entry) { return entry.second.by_policy.size() > 1; });
  return several ? "\n  A session counts once under each policy that was evaluated for it.\n" : "";
}

std::string domain_text(const std::string& name, const DomainSummary& domain,
                        const Painter& paint) {
  std::string text = fmt::format(
      "{}: {}; {} from {}, {}\n", paint(Style::heading, printable_or(name, "(no domain)")),
      counts_text(domain.counts, paint), counted(domain.reports, "report"),
      counted(domain.reporters.size(), "reporter"), days_text(domain.range));
  for (const auto& [submitter, reporter] : domain.reporters) {
    text += reporter_text(submitter, reporter, paint);
  }
  return text + counting_text(domain) + explanations_text(domain, paint) + "\n";
}

std::string warnings_text(const ReportCollection& collection, const Painter& paint) {
  std::string text;
  std::size_t left = kWarningsShown;
  for (const CollectedReport& collected : collection.reports()) {
    for (const rpt::ReportWarning& warning : collected.warnings) {
      if (left == 0) {
        return text +
               fmt::format("  … {} warnings in all; --json has each\n", collection.warnings());
      }
      --left;
      text += fmt::format("  {} {}{}{} ({})\n", paint(Style::warning, rpt::name(warning.code)),
                          printable(warning.where), warning.note.empty() ? "" : ": ",
                          printable(warning.note), printable(collected.source));
    }
  }
  return text;
}

/// The reports that nothing shows to be their reporter's.
std::string doubts_text(const ReportCollection& collection, const Painter& paint) {
  std::string text;
  std::size_t left = kWarningsShown;
  for (const CollectedReport& collected : collection.reports()) {
    if (is_doubtful(collected.dkim.verdict)) {
      if (left-- == 0) {
        return text + fmt::format("  … {} in all; --json has each\n", collection.doubtful());
      }
      text +=
          fmt::format("  {} {} ({})\n", paint(Style::warning, printable(collected.dkim.text())),
                      printable_or(collected.submitter, "no contact"), printable(collected.source));
    }
  }
  return text;
}

}  // namespace

std::string reports_as_text(const ReportCollection& collection, ReportColour colour) {
  const Painter paint(colour);
  std::string text;
  for (const auto& [name, domain] : summarize(collection)) {
    text += domain_text(name, domain, paint);
  }
  if (const std::string warnings = warnings_text(collection, paint); !warnings.empty()) {
    text += "Oddities of the reports, read all the same\n" + warnings + "\n";
  }
  if (const std::string doubts = doubts_text(collection, paint); !doubts.empty()) {
    text += "Not shown to be from the domain that they name (DKIM)\n" + doubts + "\n";
  }
  for (const DuplicateReport& duplicate : collection.duplicates()) {
    text += fmt::format("Counted once: {} is the same report as {}\n", printable(duplicate.source),
                        printable(duplicate.of));
  }
  if (collection.others() > 0) {
    text +=
        fmt::format("Passed over: {} without a report\n", counted(collection.others(), "message"));
  }
  return text.empty() ? "No reports.\n" : text;
}

}  // namespace relay::cli
