"""``training.html``: one page that shows what was learnt from what, without a network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

import numpy as np

from wsipsm.core.files import write_bytes
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.training.fields import Material
from wsipsm.training.metrics import Row, read_metrics
from wsipsm.training.pictures import panels, spread
from wsipsm.training.pseudolabels import load_labels
from wsipsm.training.teacher import labels_of_segmenters
from wsipsm.training.training import Training

SHOWN_FIELDS = 6
_WIDTH, _HEIGHT, _MARGIN = 280, 150, 34
_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1500px;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.5em 0}td,th{padding:.15em .8em .15em 0;text-align:left;vertical-align:top}
td.n,th.n{text-align:right}th{border-bottom:1px solid #999}figure{margin:0}figcaption{font-size:13px;color:#555}
.row{display:grid;grid-template-columns:repeat(6,1fr);gap:6px;margin-bottom:1em}
.row img{width:100%;display:block;image-rendering:pixelated}
.row h3{grid-column:1/-1;margin:.4em 0 0;font-size:14px}.curves{display:flex;flex-wrap:wrap;gap:14px}
svg text{font:11px system-ui,sans-serif;fill:#555}pre{font-size:12px}
"""


def write_report(training: Training, materials: Sequence[Material], net: SegmentationNet | None) -> None:
    """Write the page of a training.

    Parameters
    ----------
    training : Training
        Its record and metrics are shown.
    materials : sequence of Material
        Slides whose fields have pseudo labels.
    net : SegmentationNet, optional
        What came out; before there is one its pictures are left out.
    """
    rows = []
    for slide, field in spread([len(one.fields) for one in materials], SHOWN_FIELDS):
        one, image = materials[slide], materials[slide].fields[field]
        pseudo = load_labels(training.folder.labels(one.source.name))[field]
        found = labels_of_segmenters(image, [net], one.stats, training.config, final_round=True) if net else None
        rows.append((f"{one.source.name}, field {field + 1}", panels(image, pseudo, found)))
    page = render(training.record.table, read_metrics(training.metrics.path), rows)
    write_bytes(training.folder.report, page.encode())


def render(
    record: Mapping[str, Any], metrics: Sequence[Row], rows: Sequence[tuple[str, Sequence[tuple[str, bytes]]]]
) -> str:
    """HTML of a record (``train.json``), its metrics, and rows of captioned PNG files."""
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>wsipsm training</title><style>{_STYLE}</style>",
        f"<h1>Training on {len(record['inputs'])} slides</h1>",
        "<p>Nothing here was annotated: the pseudo labels come from the activation map, later labels from the "
        "segmenter of the round before.</p>",
        *(_pictures(title, files) for title, files in rows),
        "<h2>Loss</h2><div class=curves>",
        *(curve(*_section(list(group))) for _, group in groupby(metrics, key=lambda row: (row.stage, row.round))),
        "</div>",
        _rounds(record["rounds"]),
        _stages(record["stages"]),
        _inputs(record),
        _settings(record["config"]),
        "</html>",
    ]
    return "\n".join(parts)


def curve(title: str, losses: Sequence[float], steps: Sequence[int]) -> str:
    """SVG of a loss curve: every step faint, their running mean strong."""
    values = np.array(losses, np.float64)
    window = max(1, len(values) // 20)
    kernel = np.ones(window) / window
    smooth = np.convolve(values, kernel, mode="valid")
    low, high = float(values.min()), float(np.percentile(values, 99.5))
    high = high if high > low else low + 1.0
    last = f"{smooth[-1]:.4f}"
    return (
        f"<figure><svg width={_WIDTH} height={_HEIGHT} viewBox='0 0 {_WIDTH} {_HEIGHT}' role=img>"
        f"<rect x={_MARGIN} y=4 width={_WIDTH - _MARGIN - 4} height={_HEIGHT - 24} fill=none stroke='#ccc'/>"
        f"<text x=0 y=14>{high:.2f}</text><text x=0 y={_HEIGHT - 22}>{low:.2f}</text>"
        f"<text x={_MARGIN} y={_HEIGHT - 6}>step {steps[0]}</text>"
        f"<text x={_WIDTH - 4} y={_HEIGHT - 6} text-anchor=end>{steps[-1]}</text>"
        f"{_line(steps, values, (low, high), '#c3cfe8', 1)}"
        f"{_line(steps[window - 1 :], smooth, (low, high), '#1f4fa3', 2)}</svg>"
        f"<figcaption>{escape(title)}, {last} at the end</figcaption></figure>"
    )


def _line(steps: Sequence[int], values: Any, limits: tuple[float, float], color: str, width: int) -> str:
    low, high = limits
    x = np.array(steps, np.float64)
    x = (x - x[0]) / max(1.0, x[-1] - x[0]) * (_WIDTH - _MARGIN - 4) + _MARGIN
    y = 4 + (_HEIGHT - 24) * (1 - (np.clip(values, low, high) - low) / (high - low))
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f"<polyline fill=none stroke='{color}' stroke-width={width} points='{points}'/>"


def _section(rows: list[Row]) -> tuple[str, list[float], list[int]]:
    title = rows[0].stage if rows[0].stage == "encoder" else f"{rows[0].stage}, round {rows[0].round}"
    return title, [row.loss for row in rows], [row.step for row in rows]


def _pictures(title: str, files: Sequence[tuple[str, bytes]]) -> str:
    figures = "".join(
        f"<figure><img alt='{escape(caption)}' src='data:image/png;base64,{base64.b64encode(content).decode()}'>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, content in files
    )
    return f"<div class=row><h3>{escape(title)}</h3>{figures}</div>"


def _rounds(rounds: Mapping[str, Mapping[str, int]]) -> str:
    if not rounds:
        return ""
    lines = [
        [number, f"{row['instances']:,}", f"{row['doubtful'] / max(1, row['instances']):.1%}"]
        for number, row in sorted(rounds.items(), key=lambda item: int(item[0]))
    ]
    return "<h2>Labels of each round</h2>" + _table(["round", "instances", "of them doubtful"], lines)


def _stages(stages: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [[name, f"{entry['seconds']:,.0f}"] for name, entry in stages.items()]
    return "<h2>Time</h2>" + _table(["stage", "seconds"], lines)


def _inputs(record: Mapping[str, Any]) -> str:
    out = {one["path"]: one["reason"] for one in record["skipped"]}
    used = [one for one in record["inputs"] if one["path"] not in out]
    lines = [[one["name"], one["path"], "" if one["mpp"] is None else f"{one['mpp']:g}"] for one in used]
    found = "<h2>Slides</h2>" + _table(["name", "path", "um/px given"], lines, numbers=False)
    if out:
        found += "<h2>Left out</h2>" + _table(["path", "reason"], [list(pair) for pair in out.items()], numbers=False)
    return found


def _settings(config: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [[f"{section}.{key}", str(value)] for section, keys in config.items() for key, value in keys.items()]
    return "<h2>Settings</h2>" + _table(["key", "value"], lines, numbers=False)


def _table(head: Sequence[str], lines: Sequence[Sequence[str]], *, numbers: bool = True) -> str:
    """HTML table; all columns but the first are numbers, set to the right, or none is."""
    kinds = ["", *(" class=n" if numbers else "" for _ in head[1:])]
    cells = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, head, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{k}>{escape(value)}</td>" for k, value in zip(kinds, line, strict=True)) + "</tr>"
        for line in lines
    )
    return f"<table><tr>{cells}</tr>{body}</table>"
