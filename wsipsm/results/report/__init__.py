"""Reports to read: ``report.html`` of a slide and of a run, each one file that needs nothing else.

`seams`, `distributions` and `examples` compute from the stored cells, `pictures` makes what is embedded, `slide` and
`run` are the two pages, `provenance` and `words` parts of both.
"""

from __future__ import annotations

from wsipsm.results.report.run import SlideRow, write_run_report
from wsipsm.results.report.slide import REPORT_FILE, TableFigures, table_figures, write_slide_report

__all__ = ["REPORT_FILE", "SlideRow", "TableFigures", "table_figures", "write_run_report", "write_slide_report"]
