"""Parts of HTML pages."""

from __future__ import annotations

import itertools
import re

import pytest

from wsipsm.results.html import Raw, bars, curve, figure, image, page, round_numbers, table


def test_a_curve_falls_where_the_loss_does() -> None:
    svg = curve("loss", [4.0, 3.0, 2.0, 1.0], [1, 2, 3, 4])

    (points, _) = re.findall(r"points='([^']*)'", svg)
    y = [float(point.split(",")[1]) for point in points.split()]
    assert y == sorted(y), "SVG counts from above"


@pytest.mark.parametrize("losses", [[0.5], [0.5, 0.5, 0.5]])
def test_a_flat_curve_can_be_drawn(losses: list[float]) -> None:
    svg = curve("loss", losses, list(range(1, len(losses) + 1)))

    assert "nan" not in svg


def test_bars_are_as_high_as_their_counts() -> None:
    svg = bars([0, 3, 6, 12], (0.0, 8.0), axis="Area (um2)", mark=(4.0, "cut"))

    drawn = re.findall(r"<rect x=([\d.]+) y=([\d.]+) width=([\d.]+) height=([\d.]+)", svg)
    heights = [float(height) for *_, height in drawn]
    assert heights == pytest.approx([heights[-1] / 4, heights[-1] / 2, heights[-1]])
    assert len({float(y) + float(height) for _, y, _, height in drawn}) == 1, "they stand on the axis"
    (at,) = re.findall(r"<path class=mark d='M([\d.]+)", svg)
    assert float(at) == pytest.approx(float(drawn[1][0]), abs=0.01), "half way"
    assert ">12</text>" in svg
    assert "Area (um2)</text>" in svg


def test_a_mark_beyond_the_bars_is_left_out() -> None:
    assert "class=mark" not in bars([1], (0.0, 1.0), axis="a", mark=(1.5, "cut"))


@pytest.mark.parametrize(("low", "high"), [(0, 61.4), (-0.05, 0.36), (0.5, 1), (0, 1e-3), (0, 4e5)])
def test_axes_have_round_numbers_in_their_range(low: float, high: float) -> None:
    found = round_numbers(low, high)

    assert 3 <= len(found) <= 6
    assert all(low <= number <= high for number in found)
    assert len({round(b - a, 9) for a, b in itertools.pairwise(found)}) == 1


def test_pages_forbid_what_they_do_not_hold() -> None:
    whole = page("t", [])

    assert "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline';" in whole
    assert table(["a"], [[Raw("<b>x</b>")]]).count("<b>x</b>") == 1


def test_text_is_escaped_everywhere() -> None:
    parts = [table(["<a>"], [["<b>"]]), figure("<c> '", b""), curve("<d>", [1.0], [1])]
    parts += [bars([1], (0.0, 1.0), axis="<f>", mark=(0.5, "<g>")), image(b"", "image/png", "<h> '")]

    whole = page("<e>", parts)

    assert not re.findall("<[a-h]>", whole)
    assert "alt='&lt;c&gt; &#x27;'" in whole


def test_columns_of_numbers_are_aligned_to_the_right() -> None:
    assert table(["a", "b"], [["x", "1"]]) == (
        "<table><tr><th>a</th><th class=n>b</th></tr><tr><td>x</td><td class=n>1</td></tr></table>"
    )
    assert "class" not in table(["a", "b"], [["x", "y"]], numbers=False)
