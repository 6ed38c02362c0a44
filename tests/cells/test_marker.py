"""Positive and negative: the rule of a slide against NumPy on all of its cells, and its anchors."""

from __future__ import annotations

import numpy as np
import pytest

from wsipsm.cells.classes import CLASSES
from wsipsm.cells.marker import Marker, MarkerRule
from wsipsm.cells.table import Cells
from wsipsm.config import ClassesConfig
from wsipsm.stain.registry import HDAB_VECTORS

PLAIN = ClassesConfig(scheme="positive")


def cells(nuclear: np.ndarray, core: np.ndarray, ring: np.ndarray | None = None) -> Cells:
    """Cells of which only the densities matter."""
    count = len(core)
    columns = {"nuclear_od_core": nuclear, "counterstain_od_core": core}
    columns["counterstain_od_ring"] = np.zeros(count) if ring is None else ring
    return Cells(
        anchor=np.arange(count),
        vertices_l0=np.zeros((0, 2)),
        ring_offsets=np.zeros(count + 1, np.int64),
        centroid_l0=np.zeros((count, 2)),
        columns={name: np.asarray(values, np.float32) for name, values in columns.items()},
        class_=np.zeros(count, np.uint8),
    )


def blue(count: int, seed: int = 0) -> Cells:
    rng = np.random.default_rng(seed)
    return cells(rng.uniform(0.15, 0.5, count), np.clip(rng.normal(0.0, 0.02, count), -0.05, 0.05))


def brown(count: int, strength: float = 0.8, seed: int = 1) -> Cells:
    rng = np.random.default_rng(seed)
    return cells(rng.uniform(0.0, 0.1, count), rng.lognormal(np.log(strength), 0.3, count))


def names_of(parts: list[Cells], config: ClassesConfig = PLAIN) -> tuple[list[str], MarkerRule]:
    marker = Marker(config)
    for part in parts:
        marker.add(part)
    rule = marker.rule()
    assert rule is not None
    return [CLASSES.names[c] for part in parts for c in marker.classes(part, rule)], rule


def expected_threshold(parts: list[Cells]) -> float:
    """The rule as its description has it, over all cells at once."""
    nuclear = np.concatenate([p.columns["nuclear_od_core"] for p in parts]).astype(float)
    core = np.concatenate([p.columns["counterstain_od_core"] for p in parts]).astype(float)
    h, d, _ = np.array(HDAB_VECTORS)
    r, b = nuclear * h[0] + core * d[0], nuclear * h[2] + core * d[2]
    a = np.arcsinh(2 * core)
    is_blue, is_brown = (b < 0.6 * r) & (r > 0.04), (b > 0.8 * r) & (core >= 0.1)
    low = max(0.0, float(np.median(a[is_blue])))
    return float(np.sinh(max(low + 0.45 * (np.median(a[is_brown]) - low), np.arcsinh(0.2))) / 2)


@pytest.mark.parametrize("strength", [0.25, 0.8, 1.6])
def test_the_threshold_lies_between_blue_and_brown_however_strong_the_chromogen(strength: float) -> None:
    parts = [blue(400), brown(200, strength)]

    names, rule = names_of(parts)

    assert rule.threshold_od == pytest.approx(expected_threshold(parts), abs=0.002)
    assert rule.found_on == "blue and brown cells"
    assert names[:400].count("Positive") == 0
    assert names[400:].count("Positive") >= 196


def test_a_slide_without_a_positive_cell_gets_none() -> None:
    names, rule = names_of([blue(2000)])

    assert set(names) == {"Negative"}
    assert rule.found_on == "blue cells"
    assert rule.threshold_od >= 0.2


def test_a_slide_of_positive_cells_has_no_other() -> None:
    names, _ = names_of([brown(500)])

    assert names.count("Negative") <= 5


def test_a_slide_of_few_cells_gets_the_anchor() -> None:
    names, rule = names_of([blue(3), brown(2)])

    assert rule.found_on == "few cells"
    assert names == ["Negative"] * 3 + ["Positive"] * 2


def test_the_rule_does_not_depend_on_the_order_of_the_tiles() -> None:
    parts = [blue(50, seed) for seed in range(4)] + [brown(30, seed=seed) for seed in range(4)]

    assert names_of(parts)[1] == names_of(parts[::-1])[1]


def test_a_threshold_that_is_given_holds() -> None:
    names, rule = names_of(
        [cells(np.full(2, 0.3), np.array([0.29, 0.31]))], PLAIN.model_copy(update={"threshold_od": 0.3})
    )

    assert names == ["Negative", "Positive"]
    assert rule.found_on == "configuration"


def test_grades_follow_the_density() -> None:
    config = ClassesConfig(scheme="graded", threshold_od=0.2, grades_od=(0.4, 0.6))

    names, _ = names_of([cells(np.zeros(5), np.array([0.1, 0.2, 0.45, 0.61, 3.0]))], config)

    assert names == ["Negative", "1+", "2+", "3+", "3+"]


def test_a_threshold_above_a_grade_leaves_that_grade_out() -> None:
    config = ClassesConfig(scheme="graded", threshold_od=0.5, grades_od=(0.4, 0.6))

    names, _ = names_of([cells(np.zeros(3), np.array([0.45, 0.55, 0.65]))], config)

    assert names == ["Negative", "2+", "3+"]


def test_with_the_ring_the_stain_around_a_nucleus_counts() -> None:
    config = ClassesConfig(scheme="positive", compartment="ring", threshold_od=0.2)

    names, _ = names_of([cells(np.full(2, 0.4), np.array([0.9, 0.0]), np.array([0.0, 0.9]))], config)

    assert names == ["Negative", "Positive"]


def test_without_a_scheme_every_cell_is_a_nucleus() -> None:
    marker, some = Marker(ClassesConfig()), blue(5)
    marker.add(some)

    assert marker.rule() is None
    np.testing.assert_array_equal(marker.classes(some, None), 0)


@pytest.mark.parametrize("share", [0.2, 0.55, 0.7, 0.9])
def test_with_the_ring_blue_cores_of_positive_cells_do_not_count_as_blue(share: float) -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(4000) < share
    ring = np.where(positive, rng.normal(0.5, 0.08, 4000), rng.normal(0.03, 0.02, 4000))

    names, rule = names_of(
        [cells(np.full(4000, 0.35), np.full(4000, 0.02), ring)], PLAIN.model_copy(update={"compartment": "ring"})
    )

    assert np.mean([name == "Positive" for name in names]) == pytest.approx(share, abs=0.02)
    assert rule.threshold_od < 0.4
