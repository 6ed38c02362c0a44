"""Parts of HTML pages that need no network: style, tables, figures with embedded PNG, SVG curves."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image as PillowImage

_SMALL_PX = 1200
"""Longer side of a reduced picture, pixels."""
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


def page(title: str, parts: Iterable[str]) -> str:
    """Complete page of parts that are HTML."""
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)}</title><style>{_STYLE}</style>"
    return "\n".join([head, *parts, "</html>"])


def table(head: Sequence[str], lines: Sequence[Sequence[str]], *, numbers: bool = True) -> str:
    """Table of text cells; with ``numbers`` all columns but the first are aligned to the right.

    Parameters
    ----------
    head : sequence of str
        Headings.
    lines : sequence of sequence of str
        Rows of as many cells.
    numbers : bool
        Whether all columns but the first are numbers.
    """
    kinds = ["", *(" class=n" if numbers else "" for _ in head[1:])]
    cells = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, head, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{k}>{escape(value)}</td>" for k, value in zip(kinds, line, strict=True)) + "</tr>"
        for line in lines
    )
    return f"<table><tr>{cells}</tr>{body}</table>"


def figure(caption: str, png: bytes) -> str:
    """PNG file as an embedded picture with its caption."""
    return (
        f"<figure><img alt='{escape(caption)}' src='{data_uri(png, 'image/png')}'>"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def small_picture(picture: PillowImage.Image, *, caption: str) -> str:
    """Reduced copy of a picture as an embedded JPEG: a notebook keeps it.

    Parameters
    ----------
    picture : PIL.Image.Image
        Of any mode.
    caption : str
        For who does not see it.
    """
    small, buffer = picture.convert("RGB"), io.BytesIO()
    small.thumbnail((_SMALL_PX, _SMALL_PX))
    small.save(buffer, "JPEG", quality=85)
    return f"<img alt='{escape(caption)}' src='{data_uri(buffer.getvalue(), 'image/jpeg')}'>"


def data_uri(content: bytes, kind: str) -> str:
    """URI that holds a file of a media type, such as ``image/png``."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def curve(title: str, losses: Sequence[float], steps: Sequence[int]) -> str:
    """Figure with a loss curve as SVG: every step faint, the running mean strong.

    Parameters
    ----------
    title : str
        Caption.
    losses, steps : sequence
        N values and their N steps, in order; N is at least 1.
    """
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
        f"{_polyline(steps, values, (low, high), '#c3cfe8', 1)}"
        f"{_polyline(steps[window - 1 :], smooth, (low, high), '#1f4fa3', 2)}</svg>"
        f"<figcaption>{escape(title)}, {last} at the end</figcaption></figure>"
    )


def _polyline(steps: Sequence[int], values: Any, limits: tuple[float, float], color: str, width: int) -> str:
    low, high = limits
    x = np.array(steps, np.float64)
    x = (x - x[0]) / max(1.0, x[-1] - x[0]) * (_WIDTH - _MARGIN - 4) + _MARGIN
    y = 4 + (_HEIGHT - 24) * (1 - (np.clip(values, low, high) - low) / (high - low))
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f"<polyline fill=none stroke='{color}' stroke-width={width} points='{points}'/>"
