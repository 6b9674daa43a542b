#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "relay/cli/report_chart.h"
#include "relay/cli/report_style.h"
#include "relay/cli/report_views.h"
#include "rpt/report.h"

namespace relay::cli {
namespace {

constexpr std::size_t kListed = 200;
constexpr std::size_t kReasonsShown = 5;

std::string shown(std::string_view text, std::string_view if_empty) {
  return text.empty() ? std::string(if_empty) : html_text(text);
}

std::string number(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", grouped(count), noun, count == 1 ? "" : "s");
}

std::string pill(const SessionCounts& counts) {
  return fmt::format(R"(<span class="pill {}">{} ok</span>)", counts.failed == 0 ? "good" : "poor",
                     share_ok(counts));
}

std::string tile(const std::string& value, std::string_view label) {
  return fmt::format(R"(<div class="tile"><b>{}</b><span>{}</span></div>)", value, label);
}

/// A list that opens on demand; nothing if it is empty.
std::string folded(std::string_view title, const std::vector<std::string>& items) {
  if (items.empty()) {
    return {};
  }
  std::string html = fmt::format("<details><summary>{} ({})</summary><ul>", title, items.size());
  for (std::size_t i = 0; i < std::min(items.size(), kListed); ++i) {
    html += "<li>" + items[i] + "</li>";
  }
  if (items.size() > kListed) {
    html += fmt::format("<li>and {} more</li>", items.size() - kListed);
  }
  return html + "</ul></details>";
}

std::string policies_html(const ReporterSummary& reporter) {
  std::string html;
  for (const auto& [type, counts] : reporter.by_policy) {
    html +=
        fmt::format("{}{} {}", html.empty() ? "" : ", ", shown(type, "no type"), share_ok(counts));
  }
  return html;
}

/// A line about the signatures, if they were verified.
std::string dkim_html(const ReporterSummary& reporter) {
  std::string html;
  for (const auto& [verdict, count] : reporter.dkim) {
    html += fmt::format("{}{} {}", html.empty() ? "<br><span class=\"faint\">DKIM: " : ", ", count,
                        html_text(verdict));
  }
  return html.empty() ? html : html + "</span>";
}

std::string reporters_html(const DomainSummary& domain,
                           const std::vector<std::chrono::sys_days>& days) {
  std::string html =
      R"(<h3>Reporters</h3><div class="scroll"><table><tr><th>Reporter</th>)"
      R"(<th class="n">Reports</th><th class="n">Sessions</th><th class="n">Failed</th>)"
      R"(<th class="n">Ok</th><th>Per policy</th><th>Per day</th></tr>)";
  for (const auto& [submitter, reporter] : domain.reporters) {
    html += fmt::format(
        R"(<tr><td class="break">{}<br><span class="faint">{}</span>{}</td><td class="n">{}</td>)"
        R"(<td class="n">{}</td><td class="n">{}</td><td class="n">{}</td><td>{}</td><td>{}</td></tr>)",
        shown(reporter.name, "(no name)"), shown(submitter, "no contact"), dkim_html(reporter),
        grouped(reporter.reports), grouped(reporter.counts.total()),
        grouped(reporter.counts.failed), share_ok(reporter.counts), policies_html(reporter),
        day_spark(points(reporter.days, days)));
  }
  return html + "</table></div>";
}

struct FailureRow {
  std::string type, mx, reporter;
  const FailureGroup* group;
};

std::vector<FailureRow> failure_rows(const DomainSummary& domain) {
  std::vector<FailureRow> rows;
  for (const auto& [submitter, reporter] : domain.reporters) {
    for (const auto& [key, group] : reporter.failures) {
      rows.push_back(
          {key.first, key.second, reporter.name.empty() ? submitter : reporter.name, &group});
    }
  }
  std::ranges::stable_sort(rows, std::ranges::greater{},
                           [](const FailureRow& row) { return row.group->sessions; });
  return rows;
}

std::string reasons_html(const FailureGroup& group) {
  std::string html;
  std::size_t left = kReasonsShown;
  for (const auto& [reason, count] : group.reasons) {
    if (left-- == 0) {
      return html + fmt::format("and {} more", group.reasons.size() - kReasonsShown);
    }
    html += fmt::format("<code>{}</code><br>", html_text(reason));
  }
  return html.empty() ? "–" : html;
}

std::string explanations_html(const std::vector<FailureRow>& rows) {
  std::set<std::string> types;
  for (const FailureRow& row : rows) {
    types.insert(row.type);
  }
  std::string html = "<h3>What they mean, and what usually helps</h3><dl>";
  for (const std::string& type : types) {
    html += fmt::format("<dt><code>{}</code></dt>", shown(type, "(no type)"));
    if (const auto known = rpt::parse_result_type(type)) {
      const rpt::Explanation words = rpt::explain(*known);
      html +=
          fmt::format("<dd>{}</dd><dd>{}</dd>", html_text(words.meaning), html_text(words.remedy));
    } else {
      html += "<dd>No type that RFC 8460 knows; ask the reporter what it means.</dd>";
    }
  }
  return html + "</dl>";
}

std::string failures_html(const DomainSummary& domain) {
  const auto rows = failure_rows(domain);
  if (rows.empty()) {
    return {};
  }
  std::string html =
      R"(<h3>Failures</h3><div class="scroll"><table><tr><th class="n">Sessions</th>)"
      R"(<th>Result type</th><th>MX host</th><th>Reason</th><th>Reporter</th></tr>)";
  for (std::size_t i = 0; i < std::min(rows.size(), kListed); ++i) {
    const FailureRow& row = rows[i];
    html +=
        fmt::format(R"(<tr><td class="n">{}</td><td><code>{}</code></td><td class="break">{}</td>)"
                    R"(<td class="break">{}</td><td class="break">{}</td></tr>)",
                    grouped(row.group->sessions), shown(row.type, "(no type)"), shown(row.mx, "–"),
                    reasons_html(*row.group), html_text(row.reporter));
  }
  return html + "</table></div>" + explanations_html(rows);
}

std::string domain_html(const std::string& name, const DomainSummary& domain) {
  DayCounts counts;
  for (const auto& [submitter, reporter] : domain.reporters) {
    for (const auto& [day, of_day] : reporter.days) {
      counts[day].add(of_day);
    }
  }
  const auto days = chart_days(counts, domain.range);
  return fmt::format(
             R"(<section><div class="head"><h2>{}</h2>{}<span class="faint">{}, {}</span></div>)",
             shown(name, "(no domain)"), pill(domain.counts),
             number(domain.counts.total(), "session"), days_text(domain.range)) +
         R"(<div class="scroll">)" + day_chart(points(counts, days)) + "</div>" +
         R"(<div class="key"><span><i class="ok"></i>succeeded</span>)"
         R"(<span><i class="bad"></i>failed</span></div>)" +
         reporters_html(domain, days) + failures_html(domain) + "</section>";
}

std::string remarks_html(const ReportCollection& collection) {
  std::vector<std::string> unreadable;
  for (const UnreadableInput& input : collection.unreadable()) {
    unreadable.push_back(
        html_text(fmt::format("{}: {} ({})", input.source, input.reason, input.code)));
  }
  std::vector<std::string> warnings;
  for (const CollectedReport& collected : collection.reports()) {
    for (const rpt::ReportWarning& warning : collected.warnings) {
      warnings.push_back(fmt::format("<code>{}</code> {}{}{} <span class=\"faint\">{}</span>",
                                     rpt::name(warning.code), html_text(warning.where),
                                     warning.note.empty() ? "" : ": ", html_text(warning.note),
                                     html_text(collected.source)));
    }
  }
  std::vector<std::string> duplicates;
  for (const DuplicateReport& duplicate : collection.duplicates()) {
    duplicates.push_back(html_text(duplicate.source + " is the same report as " + duplicate.of));
  }
  return folded("Could not be read", unreadable) +
         folded("Oddities of the reports, read all the same", warnings) +
         folded("Copies, counted once", duplicates);
}

std::string tiles_html(const ReportCollection& collection,
                       const std::map<std::string, DomainSummary>& domains) {
  SessionCounts counts;
  std::set<std::string> reporters;
  for (const auto& [name, domain] : domains) {
    counts.add(domain.counts);
    for (const auto& [submitter, reporter] : domain.reporters) {
      reporters.insert(submitter);
    }
  }
  return R"(<div class="tiles">)" + tile(grouped(counts.total()), "sessions") +
         tile(share_ok(counts), "succeeded") + tile(grouped(counts.failed), "failed") +
         tile(grouped(collection.reports().size()), "reports") +
         tile(grouped(reporters.size()), "reporters") + "</div>";
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string html;
  for (const char c : printable(text)) {
    switch (c) {
      case '&':
        html += "&amp;";
        break;
      case '<':
        html += "&lt;";
        break;
      case '>':
        html += "&gt;";
        break;
      case '"':
        html += "&quot;";
        break;
      case '\'':
        html += "&#39;";
        break;
      default:
        html += c;
    }
  }
  return html;
}

std::string reports_as_html(const ReportCollection& collection) {
  const auto domains = summarize(collection);
  DayRange range;
  for (const auto& [name, domain] : domains) {
    range.add(domain.range);
  }
  std::string html = fmt::format(
      R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>TLS reports, {0}</title><style>{1}</style></head><body><main>
<h1>TLS reports</h1><p class="faint">{0}. A session counts once under each policy that was evaluated for it.</p>
)",
      days_text(range), kReportStyle);
  html += domains.empty() ? "<p>No report was read.</p>" : tiles_html(collection, domains);
  for (const auto& [name, domain] : domains) {
    html += domain_html(name, domain) + "\n";
  }
  return html + remarks_html(collection) + "</main></body></html>\n";
}

}  // namespace relay::cli
