"""How a page looks: on a screen light or dark, on a phone, and on paper.

Wide tables scroll in a box of their own; on paper they are squeezed, for paper does not scroll.
What the end of a page would cut is kept together.
"""

STYLE = """
:root { color-scheme: light dark; --ink: #1c1e21; --paper: #fff; --faint: #575d64;
  --line: #d5d9de; --mark: #fff3d6; --edge: #b26b00; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e5e8; --paper: #15171a;
  --faint: #a5abb3; --line: #3a3f46; --mark: #33280f; --edge: #e0a43a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 66rem; color: var(--ink);
  background: var(--paper); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere;
  -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .5rem; }
h2 { font-size: 1.25rem; margin: 2rem 0 .5rem; padding-top: .5rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p { margin: .5rem 0; max-width: 45rem; }
.note { padding: .5rem .75rem; background: var(--mark); border-left: .25rem solid var(--edge); }
.wide { overflow-x: auto; margin: .75rem 0; max-width: 100%; }
table { border-collapse: collapse; font-size: .9rem; }
caption { text-align: left; color: var(--faint); padding-bottom: .25rem; }
th, td { padding: .2rem .75rem .2rem 0; text-align: left; vertical-align: top; font-weight: 400;
  overflow-wrap: break-word; max-width: 24rem; border-bottom: 1px solid var(--line); }
thead th { font-weight: 600; vertical-align: bottom; white-space: nowrap; max-width: none; }
tfoot th, tfoot td { font-weight: 600; }
.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.gallery { display: grid; gap: 1rem; margin: .75rem 0;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 24rem), 1fr)); }
figure { margin: .75rem 0; min-width: 0; }
.gallery > * { margin: 0; }
.gallery tbody th { max-width: 12rem; }
img { display: block; max-width: 100%; height: auto; background: #fff; border-radius: .25rem; }
.plot { height: 28rem; margin: .75rem 0; background: #fff; border-radius: .25rem; }
figcaption { font-size: .85rem; color: var(--faint); margin-top: .25rem; }
figcaption span { display: block; }
figcaption span:first-child { color: var(--ink); font-weight: 600; }
@media (max-width: 64rem) { tbody th, td { max-width: 14rem; } }
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; --faint: #333; --line: #bbb;
    --mark: #fff; --edge: #000; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .wide { overflow: visible; }
  table { font-size: 8pt; max-width: 100%; }
  th, td { overflow-wrap: anywhere; padding-right: .5rem; }
  thead { display: table-header-group; }
  thead th, thead .n { white-space: normal; overflow-wrap: break-word; }
  tfoot { display: table-row-group; }
  .gallery { display: block; }
  .gallery > * { margin-bottom: .75rem; }
  .gallery figure { display: inline-block; width: 48%; margin-right: 1%; vertical-align: top; }
  figure, tr, .note, .plot { break-inside: avoid; }
  h1, h2, h3, caption, .note { break-after: avoid; }
}
"""
