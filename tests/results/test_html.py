"""Parts of HTML pages."""

from __future__ import annotations

import re

import pytest

from wsipsm.results.html import curve, figure, page, table


def test_a_curve_falls_where_the_loss_does() -> None:
    svg = curve("loss", [4.0, 3.0, 2.0, 1.0], [1, 2, 3, 4])

    (points, _) = re.findall(r"points='([^']*)'", svg)
    y = [float(point.split(",")[1]) for point in points.split()]
    assert y == sorted(y), "SVG counts from above"


@pytest.mark.parametrize("losses", [[0.5], [0.5, 0.5, 0.5]])
def test_a_flat_curve_can_be_drawn(losses: list[float]) -> None:
    svg = curve("loss", losses, list(range(1, len(losses) + 1)))

    assert "nan" not in svg


def test_text_is_escaped_everywhere() -> None:
    parts = [table(["<a>"], [["<b>"]]), figure("<c> '", b""), curve("<d>", [1.0], [1])]

    whole = page("<e>", parts)

    assert not re.findall("<[abcde]>", whole)
    assert "alt='&lt;c&gt; &#x27;'" in whole


def test_columns_of_numbers_are_aligned_to_the_right() -> None:
    assert table(["a", "b"], [["x", "1"]]) == (
        "<table><tr><th>a</th><th class=n>b</th></tr><tr><td>x</td><td class=n>1</td></tr></table>"
    )
    assert "class" not in table(["a", "b"], [["x", "y"]], numbers=False)
