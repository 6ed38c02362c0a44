"""``training.html``: one page that shows what was learnt from what, without a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from typing import Any

from wsipsm.core.files import write_bytes
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.results import html
from wsipsm.training.context import TrainingContext
from wsipsm.training.metrics import Row, read_metrics
from wsipsm.training.pictures import panels, spread
from wsipsm.training.pseudo_labels import load_pseudo_labels, teacher_labels
from wsipsm.training.slide_sample import SlideSample

SHOWN_FIELDS = 6


def write_report(training: TrainingContext, samples: Sequence[SlideSample], net: SegmentationNet | None) -> None:
    """Write the page of a training.

    Parameters
    ----------
    training : TrainingContext
        Its record and metrics are shown.
    samples : sequence of SlideSample
        Slides whose fields have pseudo labels.
    net : SegmentationNet, optional
        What came out; before there is one its pictures are left out.
    """
    rows = []
    for slide, field in spread([len(one.fields) for one in samples], SHOWN_FIELDS):
        one, image = samples[slide], samples[slide].fields[field]
        pseudo = load_pseudo_labels(training.folder.labels(one.source.name))[field]
        found = teacher_labels(image, [net], one.stats, training.config, final=True) if net else None
        rows.append((f"{one.source.name}, field {field + 1}", panels(image, pseudo, found)))
    page = render(training.record.table, read_metrics(training.metrics.path), rows)
    write_bytes(training.folder.report, page.encode())


def render(
    record: Mapping[str, Any], metrics: Sequence[Row], rows: Sequence[tuple[str, Sequence[tuple[str, bytes]]]]
) -> str:
    """HTML of a record (``train.json``), its metrics, and rows of captioned PNG files.

    Parameters
    ----------
    record : mapping
        ``train.json``.
    metrics : sequence of Row
        Losses by stage and step.
    rows : sequence of (title, pictures)
        Pictures are (caption, PNG file).
    """
    parts = [
        f"<h1>Training on {len(record['inputs'])} slides</h1>",
        "<p>Nothing here was annotated: the pseudo labels come from the activation map or from the hue of the stains, "
        "later labels from the segmenter of the round before.</p>",
        *(_pictures(title, files) for title, files in rows),
        "<h2>Loss</h2><div class=curves>",
        *(html.curve(*_section(list(group))) for _, group in groupby(metrics, key=lambda row: (row.stage, row.round))),
        "</div>",
        _rounds(record["rounds"]),
        _stages(record["stages"]),
        _inputs(record),
        _settings(record["config"]),
    ]
    return html.page("wsipsm training", parts)


def _section(rows: list[Row]) -> tuple[str, list[float], list[int]]:
    title = rows[0].stage if rows[0].stage == "encoder" else f"{rows[0].stage}, round {rows[0].round}"
    return title, [row.loss for row in rows], [row.step for row in rows]


def _pictures(title: str, files: Sequence[tuple[str, bytes]]) -> str:
    figures = "".join(html.figure(caption, content) for caption, content in files)
    return f"<div class=row><h3>{escape(title)}</h3>{figures}</div>"


def _rounds(rounds: Mapping[str, Mapping[str, int]]) -> str:
    if not rounds:
        return ""
    lines = [
        [number, f"{row['instances']:,}", f"{row['doubtful'] / max(1, row['instances']):.1%}"]
        for number, row in sorted(rounds.items(), key=lambda item: int(item[0]))
    ]
    return "<h2>Labels of each round</h2>" + html.table(["round", "instances", "of them doubtful"], lines)


def _stages(stages: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [[name, f"{entry['seconds']:,.0f}"] for name, entry in stages.items()]
    return "<h2>Time</h2>" + html.table(["stage", "seconds"], lines)


def _inputs(record: Mapping[str, Any]) -> str:
    out = {one["path"]: one["reason"] for one in record["skipped"]}
    used = [one for one in record["inputs"] if one["path"] not in out]
    lines = [[one["name"], one["path"], "" if one["mpp"] is None else f"{one['mpp']:g}"] for one in used]
    found = "<h2>Slides</h2>" + html.table(["name", "path", "um/px given"], lines, numbers=False)
    if out:
        found += "<h2>Left out</h2>" + html.table(
            ["path", "reason"], [list(pair) for pair in out.items()], numbers=False
        )
    return found


def _settings(config: Mapping[str, Mapping[str, Any]]) -> str:
    lines = [[f"{section}.{key}", str(value)] for section, keys in config.items() for key, value in keys.items()]
    return "<h2>Settings</h2>" + html.table(["key", "value"], lines, numbers=False)
