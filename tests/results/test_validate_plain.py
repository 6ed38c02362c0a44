"""What is told of many outlines at once never says more than GEOS says of each."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely

from wsipsm.results.validate.plain import are_plain
from wsipsm.results.validate.shapes import GRID


def _outline(points: Any) -> dict[str, Any]:
    ring = np.asarray(points).tolist()
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


def _around(random: np.random.Generator, turns: float, count: int) -> np.ndarray:
    """Points on a walk around a place, rounded as files round, forwards or back."""
    angle = np.linspace(0, 2 * np.pi * turns, count, endpoint=False)
    radius = random.uniform(3, 12) * (1 + random.uniform(0, 0.9) * np.sin(angle * random.integers(1, 6)))
    points = random.uniform(0, 1e5, 2) + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.round(points, random.integers(0, 3))[:: random.choice([-1, 1])]


def test_what_is_plain_is_valid_and_keeps_an_area_on_the_grid() -> None:
    random = np.random.default_rng(0)
    rings = [_around(random, turns, random.integers(3, 40)) for turns in (1, 1, 1, 2, 0.5, 3) for _ in range(400)]
    rings += [random.integers(0, 12, (random.integers(3, 9), 2)) for _ in range(1500)]
    rings += [_around(random, 1, 12) * 10.0 ** random.integers(-6, 0) for _ in range(300)]

    plain = are_plain([_outline(ring) for ring in rings], GRID)

    shapes = np.array([shapely.Polygon(ring) for ring in rings])
    assert shapely.is_valid(shapes[plain]).all()
    assert (shapely.area(shapely.set_precision(shapes[plain], GRID)) > 0).all()
    assert plain[:1200].mean() > 0.5
    assert 0.05 < plain[2400:3900].mean() < 0.95


@pytest.mark.parametrize(
    "points",
    [
        [[0, 0], [9, 9], [9, 0], [0, 9]],  # a bow-tie
        [[0, 0], [9, 0], [9, 9], [4, 0]],  # touches itself
        [[0, 0], [9, 0], [9, None], [0, 9]],
        [[0, 0], [9, 0], [9, float("nan")], [0, 9]],
        [[0, 0], [9, 0], [9, float("inf")], [0, 9]],
        [[0, 0], [9, 0], [9, "9"], [0, 9]],
        [[0, 0], [9, 0], [9, 9, 9], [0]],
        [[0, 0], [9, 0], 9, [0, 9]],
        [[0, 0], [9, 0], {"x": 1, "y": 2}, [0, 9]],
        [[False, False], [True, False], [True, True], [False, True]],
        [[0, 0], [9, 0], [9, 0.001], [0, 0.001]],  # nothing is left on the grid
        [[0, 0], [9, 0]],
    ],
)
def test_a_faulty_outline_is_not_plain_and_a_sound_one_beside_it_may_be(points: list[Any]) -> None:
    sound = _outline([[0, 0], [9, 0], [9, 9], [0, 9]])
    faulty = {"type": "Polygon", "coordinates": [[*points, points[0]]]}

    assert not are_plain([sound, faulty, sound], GRID)[1]
    assert are_plain([sound, sound], GRID).all()


@pytest.mark.parametrize(
    "geometry",
    [
        None,
        {},
        [],
        {"type": "Point", "coordinates": [1, 2]},
        {"type": "Polygon"},
        {"type": "Polygon", "coordinates": None},
        {"type": "Polygon", "coordinates": []},
        {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 9]]]},  # open
        {"type": "Polygon", "coordinates": [[[0, 0], [9, 0], [9, 9], [0, 0]], [[4, 2], [5, 2], [5, 3], [4, 2]]]},
    ],
)
def test_anything_else_is_not_plain(geometry: Any) -> None:
    assert are_plain([geometry], GRID).tolist() == [False]
