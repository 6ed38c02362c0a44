"""How a report looks: one column, on the screen and on A4."""

from __future__ import annotations

STYLE = """
@page{size:A4;margin:16mm 15mm}
*{box-sizing:border-box}
body{font:15px/1.5 "Helvetica Neue",Helvetica,Arial,"Liberation Sans",sans-serif;color:#1b2027;background:#fff;
 margin:0 auto;max-width:948px;padding:34px 24px 60px;-webkit-print-color-adjust:exact;print-color-adjust:exact}
.top{display:flex;justify-content:space-between;font-size:12.5px;color:#5b6470;border-bottom:2px solid #1b2027;
 padding-bottom:7px}
.top b{color:#1b2027;letter-spacing:.02em}
h1{font-size:27px;line-height:1.25;margin:20px 0 4px;overflow-wrap:anywhere;font-weight:600}
.sub{color:#5b6470;margin:0 0 20px;overflow-wrap:anywhere}
h2{font-size:17px;margin:38px 0 10px;padding-bottom:4px;border-bottom:1px solid #c9ced6;font-weight:600;
 break-after:avoid}
h3{font-size:14.5px;margin:20px 0 4px;font-weight:600;break-after:avoid}
p{margin:.5em 0}.note{color:#5b6470;font-size:13.5px}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(132px,1fr));border:1px solid #c9ced6;
 border-radius:4px;margin:0 0 18px;overflow:hidden}
.facts div{padding:11px 14px;box-shadow:1px 1px 0 #c9ced6}
.facts b{display:block;font-size:22px;line-height:1.25;font-weight:600;font-variant-numeric:tabular-nums}
.facts span{font-size:12.5px;color:#5b6470}
.warn{border-left:4px solid #c77700;background:#fff6e6;padding:9px 15px;margin:0 0 14px;break-inside:avoid}
.warn ul{margin:.2em 0;padding-left:1.2em}.fine{border-left:4px solid #2f7d5b;background:#eef7f2;padding:9px 15px;
 margin:0 0 14px}
table{border-collapse:collapse;width:100%;font-size:13.5px;margin:.5em 0 1em;font-variant-numeric:tabular-nums}
th{font-weight:600;text-align:left;border-bottom:1.5px solid #7c8591;vertical-align:bottom;padding:4px 14px 4px 0}
td{padding:4px 14px 4px 0;vertical-align:top;border-bottom:1px solid #e4e7eb;overflow-wrap:anywhere}
td:first-child{min-width:11em}td.n,th.n{text-align:right;white-space:nowrap;padding-right:0;padding-left:14px;overflow-wrap:normal}
tr{break-inside:avoid}thead{display:table-header-group}
i.dot{display:inline-block;width:11px;height:11px;border-radius:50%;margin-right:7px;vertical-align:-1px;
 border:1px solid rgba(0,0,0,.25)}
table.pairs{table-layout:fixed}table.pairs td:first-child{width:31%;color:#444d58}
figure{margin:0;break-inside:avoid}figure.rows{break-inside:auto}.row{break-inside:avoid}
figure.wide{margin:10px 0 14px}figure.wide img{width:100%;display:block}
figcaption{font-size:13px;color:#444d58;margin-top:6px}
.grid{display:grid;grid-template-columns:repeat(3,1fr);gap:18px 16px}.grid svg{width:100%;height:auto}
.grid h3{margin:0 0 2px}
.cells{display:grid;grid-template-columns:repeat(8,1fr);gap:7px;margin:6px 0 4px;break-inside:avoid}
.cells img{width:100%;display:block;border-radius:2px}.cells figcaption{font-size:11px;margin-top:2px;color:#5b6470}
.thumbs{display:grid;grid-template-columns:repeat(5,1fr);gap:14px}
.thumbs img{max-width:100%;max-height:150px;display:block;border:1px solid #d7dbe0}
.thumbs figcaption{font-size:12px;overflow-wrap:anywhere}
svg text{font:11px "Helvetica Neue",Helvetica,Arial,"Liberation Sans",sans-serif;fill:#5b6470}
svg .bars{fill:#4f7396}svg .axis{stroke:#7c8591;fill:none}svg path.mark{stroke:#b3261e;stroke-dasharray:3 2}
svg text.mark{fill:#b3261e}svg text.name{fill:#1b2027}
.bar{display:inline-block;height:9px;background:#4f7396;vertical-align:0;margin-left:8px}
a{color:#1f4f8f}.end{margin-top:44px;border-top:1px solid #c9ced6;padding-top:9px;font-size:12.5px;color:#5b6470}
code{font:12.5px/1.4 ui-monospace,Menlo,Consolas,"Liberation Mono",monospace;overflow-wrap:anywhere}
@media print{body{padding:0;max-width:none;font-size:10.5pt}h2{margin-top:22px}a{color:inherit;text-decoration:none}}
@media (max-width:640px){.grid{grid-template-columns:1fr 1fr}.cells{grid-template-columns:repeat(4,1fr)}}
"""
