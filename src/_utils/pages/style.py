"""The look of all pages, as CSS.

Colours are those of Okabe and Ito, which most colour-blind people tell apart. Pictures keep a white
ground, since their lines are dark. (No .css file: it would count for each component's reuse.)
"""

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --ink: #1d2125; --faint: #5b646e; --line: #d5dae0; --box: #f4f6f8;
  --good: #00694d; --bad: #a33a00; --plain: #00588f; --reused: #5b646e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #14171a; --ink: #e6e9ec; --faint: #a0a9b2; --line: #3a424a; --box: #1f2429;
    --good: #4cc9a4; --bad: #ff9d5c; --plain: #6cb8ee; --reused: #a0a9b2;
  }
}
* { box-sizing: border-box; }
body {
  font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground);
  max-width: 80rem; margin: 0 auto; padding: 1rem; overflow-wrap: anywhere;
}
h1 {
  font-size: 1.5rem; line-height: 1.3; margin: 0 0 1rem; border-left: 0.4rem solid;
  padding-left: 0.8rem;
}
h2 { font-size: 1.15rem; margin: 2rem 0 0.5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 0.2rem; }
.title { color: var(--faint); margin: 0 0 0.3rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .plain { color: var(--plain); }
a { color: var(--plain); }
pre {
  background: var(--box); border: 1px solid var(--line); border-radius: 6px; padding: 0.6rem;
  overflow-x: auto;
}
code { font: 0.9rem/1.4 ui-monospace, monospace; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.9rem; }
th, td {
  border-bottom: 1px solid var(--line); padding: 0.3rem 0.9rem 0.3rem 0; text-align: left;
  vertical-align: top; overflow-wrap: normal;
}
td:has(.bar) { white-space: nowrap; }
b[title]:not([title=""]), span[title], th[title] {
  text-decoration: underline dotted; text-underline-offset: 3px; cursor: help;
}
img {
  max-width: min(100%, 38rem); vertical-align: top; background: white; border-radius: 6px;
  margin: 0.5rem 0.5rem 0.5rem 0;
}
svg text { font: 13px system-ui, sans-serif; fill: var(--ink); }
svg .small { font-size: 11px; fill: var(--faint); }
svg .box { fill: var(--box); stroke: var(--faint); stroke-width: 1.5; }
svg .finished { stroke: var(--good); } svg .failed { stroke: var(--bad); stroke-width: 3; }
svg .reused { stroke: var(--reused); } svg .waiting { stroke-dasharray: 4 3; }
svg .artifact { fill: var(--ground); stroke: var(--line); }
svg .label { paint-order: stroke; stroke: var(--ground); stroke-width: 3px; }
svg .axis { fill: none; stroke: var(--line); }
svg .dot, svg .track { stroke: var(--plain); fill: var(--plain); fill-opacity: 0.5; }
svg .track { fill: none; stroke-width: 1.5; }
svg .track.best, svg .track.current { opacity: 1; stroke-width: 3; }
svg .best { stroke: var(--good); } svg .current { stroke: var(--bad); stroke-width: 3; }
svg .dot.current { fill: var(--ground); } svg .dot.best { fill: var(--good); fill-opacity: 1; }
svg .edge { fill: none; stroke: var(--faint); opacity: 0.6; }
"""
