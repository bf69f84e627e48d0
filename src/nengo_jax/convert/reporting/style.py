"""How the page of a report looks: on a screen, on a phone, on paper."""

STYLE = """
:root { --ink: #1f2328; --soft: #5b6470; --line: #dfe3e8; --accent: #0b62a4;
  --wash: #f5f7fa; color-scheme: light; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; color: var(--ink); background: #fff;
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue",
  "DejaVu Sans", Arial, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .6rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 3rem 0 .6rem; }
h3 { font-size: 1rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
p { margin: .5rem 0; max-width: 42rem; }
.kicker { color: var(--accent); font-weight: 600; margin: 0 0 .3rem; }
.lead { font-size: 1.12rem; }
.soft, figcaption, .note { color: var(--soft); }
figcaption, .note, footer { font-size: .88rem; line-height: 1.45; }
.facts { display: grid; gap: .75rem; margin: 1.5rem 0 0; padding: 0;
  grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); }
.facts div { background: var(--wash); border-radius: .5rem; padding: .8rem 1rem; }
.facts dt { color: var(--soft); font-size: .85rem; }
.facts dd { margin: 0; font-size: 1.5rem; font-weight: 600; line-height: 1.3;
  font-variant-numeric: tabular-nums; }
.facts .main dd { color: var(--accent); }
ol.findings { list-style: none; counter-reset: finding; margin: 1rem 0; padding: 0; }
ol.findings li { counter-increment: finding; border-left: 3px solid var(--accent);
  background: var(--wash); border-radius: 0 .5rem .5rem 0; margin: 0 0 .9rem;
  padding: .9rem 1.1rem; }
ol.findings li > p { max-width: 46rem; overflow-wrap: break-word; }
ol.findings h3::before { content: counter(finding) ". "; color: var(--accent); }
.change { font-weight: 600; }
.change span { color: var(--accent); }
.grid { display: grid; gap: 1.5rem 2rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(19rem, 100%), 1fr)); }
.grid.few { grid-template-columns: minmax(0, 34rem); }
figure { margin: 0; min-width: 0; break-inside: avoid; }
figure svg { display: block; width: 100%; max-width: 31rem; height: auto; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-size: .88rem; min-width: 100%;
  font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .4rem .7rem; white-space: nowrap;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 600; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
th small, td small { display: block; font-weight: 400; color: var(--soft); }
tr.begins td:first-child { color: var(--accent); font-weight: 600; }
tr.begins small { color: var(--accent); }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--line);
  color: var(--soft); }
@media (max-width: 30rem) { main { padding-top: 1.5rem; } h1 { font-size: 1.5rem; }
  .facts { grid-template-columns: 1fr 1fr; } .facts dd { font-size: 1.25rem; }
  th, td { padding: .35rem .45rem; } td:last-child { padding-right: 0; }
  .wrap th, .wrap td { white-space: normal; } }
@media print { body { font-size: 11pt; } main { max-width: none; padding: 0; }
  ol.findings li, tr { break-inside: avoid; } h2 { break-after: avoid; }
  figure svg { max-height: 15cm; } .scroll { overflow: visible; }
  table { font-size: 8pt; }
  th, td { padding: .2rem .35rem; } .facts div, ol.findings li {
  print-color-adjust: exact; -webkit-print-color-adjust: exact; } }
"""
