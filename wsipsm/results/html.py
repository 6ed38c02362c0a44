"""Parts of HTML pages that need no network: style, tables, figures with embedded pictures, SVG curves and bars."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from wsipsm.results.overview.maps import nice_number

_SMALL_PX = 1200
"""Longer side of a reduced picture, pixels."""
_POLICY = "\"default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\""
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


def page(title: str, parts: Iterable[str], *, style: str = _STYLE) -> str:
    """Complete page of parts that are HTML; a browser takes nothing into it from elsewhere, and runs no script.

    Parameters
    ----------
    title : str
        Plain text.
    parts : iterable of str
        HTML of the body.
    style : str
        CSS.
    """
    head = (
        f"<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=Content-Security-Policy content={_POLICY}>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{style}</style>"
    )
    return "\n".join([head, *parts, "</html>"])


class Raw(str):
    """HTML that stands in a cell of a table as it is; a plain text is escaped."""

    __slots__ = ()


def table(head: Sequence[str], lines: Sequence[Sequence[str]], *, numbers: bool = True) -> str:
    """Table of cells, texts or `Raw`; with ``numbers`` all columns but the first are aligned to the right.

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
        "<tr>" + "".join(f"<td{k}>{escaped(value)}</td>" for k, value in zip(kinds, line, strict=True)) + "</tr>"
        for line in lines
    )
    return f"<table><tr>{cells}</tr>{body}</table>"


def escaped(text: str) -> str:
    """Text as HTML; `Raw` as it is."""
    return text if isinstance(text, Raw) else escape(text)


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


def image(content: bytes, kind: str, alt: str) -> Raw:
    """Embedded picture of a media type.

    Parameters
    ----------
    content : bytes
        The image file.
    kind : str
        Its media type, such as ``image/png``.
    alt : str
        Plain text that stands for it.
    """
    return Raw(f"<img alt='{escape(alt)}' src='{data_uri(content, kind)}'>")


def bars(
    counts: Sequence[int], limits: tuple[float, float], *, axis: str, mark: tuple[float, str] | None = None
) -> str:
    """Histogram as SVG.

    Parameters
    ----------
    counts : sequence of int
        Heights of N bars of equal width; N is at least 1.
    limits : (float, float)
        Where the first bar begins and the last one ends.
    axis : str
        Written below.
    mark : (float, str), optional
        A line across the bars and what it is.
    """
    low, high = limits
    top, across, down = max(1, *counts), _WIDTH - _MARGIN - 12, _HEIGHT - 46
    step = across / len(counts)
    drawn = "".join(
        f"<rect x={_MARGIN + i * step:.2f} y={8 + down * (1 - count / top):.2f} width={max(0.5, step - 1):.2f} "
        f"height={down * count / top:.2f} />"
        for i, count in enumerate(counts)
        if count
    )
    ticks = "".join(
        f"<path class=axis d='M{x:.1f} {down + 8}v4' />"
        f"<text x={x:.1f} y={down + 23} text-anchor=middle>{value:.6g}</text>"
        for value in round_numbers(low, high)
        for x in [_MARGIN + across * (value - low) / (high - low)]
    )
    return (
        f"<svg width={_WIDTH} height={_HEIGHT} viewBox='0 0 {_WIDTH} {_HEIGHT}' role=img aria-label='{escape(axis)}'>"
        f"<g class=bars>{drawn}</g><path class=axis d='M{_MARGIN} {down + 8}h{across}' />"
        f"{_marked(mark, limits, across, down)}{ticks}"
        f"<text x={_MARGIN - 4} y=14 text-anchor=end>{top:,}</text>"
        f"<text x={_MARGIN - 4} y={down + 9} text-anchor=end>0</text>"
        f"<text class=name x={_MARGIN + across / 2:.1f} y={_HEIGHT - 6} text-anchor=middle>{escape(axis)}</text></svg>"
    )


def round_numbers(low: float, high: float) -> list[float]:
    """Three to six round numbers between two others, for an axis.

    Examples
    --------
    >>> round_numbers(0, 61.4), round_numbers(-0.05, 0.36)
    ([0.0, 20.0, 40.0, 60.0], [0.0, 0.1, 0.2, 0.3])
    """
    step = nice_number((high - low) / 5, up=True)
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return [round(float(number * step), 9) + 0.0 for number in np.arange(first, last + 1)]


def _marked(mark: tuple[float, str] | None, limits: tuple[float, float], across: int, down: int) -> str:
    if mark is None or not limits[0] <= mark[0] <= limits[1]:
        return ""
    x = _MARGIN + (mark[0] - limits[0]) / (limits[1] - limits[0]) * across
    side, shift = ("end", -4) if x > _MARGIN + across / 2 else ("start", 4)
    return (
        f"<path class=mark d='M{x:.2f} 4v{down + 4}' />"
        f"<text class=mark x={x + shift:.2f} y=16 text-anchor={side}>{escape(mark[1])}</text>"
    )


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
