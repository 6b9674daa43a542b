// The style sheet of the page of received reports: light and dark, for screens and paper.
#pragma once

#include <string_view>

namespace relay::cli {

inline constexpr std::string_view kReportStyle = R"css(
:root { color-scheme: light dark; --page: #f5f6f8; --card: #ffffff; --ink: #1c2430; --faint: #5d6979;
  --line: #dfe3e9; --ok: #3f7fbf; --bad: #d4552f; --okay: #1f7a4d; --soft: #eef1f5; }
@media (prefers-color-scheme: dark) { :root { --page: #12161c; --card: #1a2029; --ink: #e6eaf0;
  --faint: #97a3b3; --line: #2c3542; --ok: #5b9bd9; --bad: #ef7b55; --okay: #5fc592; --soft: #232b36; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); line-height: 1.5;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 26px; margin: 0; letter-spacing: -0.01em; }
h2 { font-size: 20px; margin: 0; overflow-wrap: anywhere; }
h3 { font-size: 13px; margin: 28px 0 8px; color: var(--faint); font-weight: 600;
  text-transform: uppercase; letter-spacing: 0.05em; }
p { margin: 4px 0; }
.faint { color: var(--faint); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 24px 0; }
.tile, section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; }
.tile { padding: 14px 16px; }
.tile b { display: block; font-size: 24px; line-height: 1.3; font-variant-numeric: tabular-nums; }
.tile span { color: var(--faint); font-size: 13px; }
section { padding: 22px 24px; margin: 20px 0; }
.head { display: flex; flex-wrap: wrap; gap: 6px 14px; align-items: baseline; }
.pill { border-radius: 99px; padding: 1px 11px; font-size: 13px; font-weight: 600; border: 1px solid; }
.pill.good { color: var(--okay); } .pill.poor { color: var(--bad); }
svg text { fill: var(--faint); font-size: 12px; }
svg line { stroke: var(--line); }
svg .ok { fill: var(--ok); } svg .bad { fill: var(--bad); }
svg .hit { fill: transparent; } svg g:hover .hit { fill: var(--soft); }
.chart { display: block; width: 100%; min-width: 620px; height: auto; margin-top: 14px; }
.spark { width: 180px; height: 32px; display: block; }
.key { font-size: 13px; color: var(--faint); display: flex; gap: 18px; margin-top: 6px; }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px; }
.key .ok { background: var(--ok); } .key .bad { background: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; font-size: 13px; color: var(--faint); white-space: nowrap; }
th, td { padding: 8px 14px 8px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
td.n, th.n { text-align: right; white-space: nowrap; }
td.break { overflow-wrap: anywhere; min-width: 120px; }
code { font: 13px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; overflow-wrap: anywhere; }
dl { margin: 0; } dt { margin-top: 12px; } dd { margin: 2px 0 0; }
dd + dd { color: var(--faint); }
details { margin-top: 12px; } summary { cursor: pointer; color: var(--faint); }
ul { margin: 8px 0; padding-left: 20px; } li { overflow-wrap: anywhere; }
@media print { body { background: none; } section, .tile { break-inside: avoid; } }
)css";

}  // namespace relay::cli
