"""Plain words and small parts that both pages use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from wsipsm.cells.classes import CLASSES, DOUBTFUL
from wsipsm.results import html
from wsipsm.results.report.style import STYLE

NOT_CLINICAL = "For research use. Not for clinical use."
"""Stands at the top and at the end of every report."""

STATUS = {
    "done": "complete",
    "partial": "incomplete: some tiles failed",
    "empty": "no tissue was found",
    "failed": "failed",
    "stopped": "stopped before its end",
    "running": "under way",
    "waiting": "not begun",
}
"""Status of a slide in words."""

REFUSED = {
    "low_confidence": "The object itself looks little like a nucleus (low confidence)",
    "dye": "It has the colour of marking dye, not of the stain",
    "unlike_nuclei": "It lies where hardly anything has the shape of a nucleus: keratin, debris, folds, blur",
}
"""Why an object was refused, in words."""

SHORTLY = {
    "low_confidence": "little like a nucleus",
    "dye": "the colour of dye",
    "unlike_nuclei": "in a place unlike nuclei",
}
"""The same for titles."""


def document(title: str, parts: Iterable[str], *, version: str) -> str:
    """Page with head and end lines.

    Parameters
    ----------
    title : str
        Plain text.
    parts : iterable of str
        HTML between the lines.
    version : str
        Of the wsipsm that found the cells.
    """
    top = f"<div class=top><b>wsipsm</b><span>{NOT_CLINICAL}</span></div>"
    end = (
        f"<p class=end>{NOT_CLINICAL} Cells were found without any annotation by wsipsm {escape(version)}; nobody has "
        "checked them one by one. This file holds all that it shows and asks nothing of a network.</p>"
    )
    return html.page(title, [top, *parts, end], style=STYLE) + "\n"


def section(title: str, *parts: str) -> str:
    """Heading and what belongs to it; empty without any content."""
    content = "".join(parts)
    return f"<section><h2>{escape(title)}</h2>{content}</section>" if content else ""


def paragraph(text: str, kind: str = "") -> str:
    """Paragraph of text."""
    return f"<p{f' class={kind}' if kind else ''}>{escape(text)}</p>"


def fact_strip(facts: Sequence[tuple[str, str]]) -> str:
    """The main figures, large, each with what it is."""
    shown = (f"<div><b>{escape(value)}</b><span>{escape(name)}</span></div>" for value, name in facts)
    return f"<div class=facts>{''.join(shown)}</div>"


def warning_box(warnings: Sequence[str], *, none: str) -> str:
    """Warnings as a list, or that there are none."""
    if not warnings:
        return f"<div class=fine>{escape(none)}</div>"
    items = "".join(f"<li>{escape(_sentence(warning))}</li>" for warning in warnings)
    title = "1 warning" if len(warnings) == 1 else f"{len(warnings)} warnings"
    return f"<div class=warn><b>{title}</b><ul>{items}</ul></div>"


def captioned(number: int, text: str, *, kind: str = "Figure") -> str:
    """Caption of a numbered figure or table.

    Parameters
    ----------
    number : int
        Counts from 1.
    text : str
        Plain text.
    kind : str
        Word before the number.
    """
    return f"<figcaption><b>{kind} {number}.</b> {escape(text)}</figcaption>"


def class_name(name: str) -> html.Raw:
    """Name of a class after a dot of its colour."""
    known = name in CLASSES.names
    color = CLASSES.colors[CLASSES.names.index(name)] if known else (128, 128, 128)
    return html.Raw(f"<i class=dot style='background:rgb{color}'></i>{escape(name)}")


def counted(counts: Mapping[str, Any]) -> dict[str, int]:
    """Cells by class of ``counts`` of a ``run.json``, without doubtful ones."""
    return {name: count for name, count in counts["by_class"].items() if name != CLASSES.names[DOUBTFUL]}


def class_table(by_class: Mapping[str, int], mm2: float) -> str:
    """Cells by class: number, share, density."""
    total = sum(by_class.values())
    lines = [[class_name(name), *_class_figures(count, total, mm2)] for name, count in by_class.items()]
    if len(lines) != 1:
        lines.append(["All", *_class_figures(total, total, mm2)])
    return html.table(["Class", "Cells", "Share", "Cells per mm²"], lines)


def _class_figures(count: int, total: int, mm2: float) -> list[str]:
    share = f"{count / total:.1%}" if total else "-"
    return [f"{count:,}", share, per_mm2(count, mm2)]


def refused_table(refused: Mapping[str, int], written: int) -> str:
    """Refused objects by reason."""
    found = written + sum(refused.values())
    lines = [
        [REFUSED.get(reason, reason), f"{count:,}", f"{count / found:.1%}" if found else "-"]
        for reason, count in refused.items()
    ]
    return html.table(["Reason", "Objects", "Share of all found"], lines)


def per_mm2(count: int, mm2: float) -> str:
    """Density as text; a dash without an area."""
    return f"{count / mm2:,.0f}" if mm2 > 0 else "-"


def number(value: float | None, form: str) -> str:
    """Number as text; a dash for one that is not defined."""
    return "-" if value is None else format(value, form)


def duration(seconds: float) -> str:
    """Time as text; from an hour on in full minutes.

    Examples
    --------
    >>> duration(4.21), duration(75), duration(7300)
    ('4.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def pairs_table(pairs: Sequence[tuple[str, Any]]) -> str:
    """Names and values; what has no value is left out."""
    lines = [[name, str(value)] for name, value in pairs if value not in (None, "")]
    body = "".join(f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>" for name, value in lines)
    return f"<table class=pairs>{body}</table>"


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
