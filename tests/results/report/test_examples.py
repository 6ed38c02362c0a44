"""Cells that a report shows one by one."""

from __future__ import annotations

from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely

from tests.helpers.results import cells_of
from wsipsm.cells.measurements import COLUMNS
from wsipsm.cells.refusal import REASONS
from wsipsm.cells.table import Cells
from wsipsm.results.report.examples import SHOWN, RefusedSample, chosen_examples, refused_examples


def cells(count: int) -> Cells:
    rings = [np.asarray(shapely.box(9 * i, 0, 9 * i + 4.1, 5).exterior.coords) for i in range(count)]
    values = np.linspace(0, 1, count, dtype=np.float32)
    return Cells(
        anchor=np.arange(count) * 7919,
        vertices_l0=np.concatenate(rings),
        ring_offsets=np.arange(count + 1) * 5,
        centroid_l0=np.stack([np.arange(count) * 9 + 2.0, np.full(count, 2.5)], axis=1),
        columns=dict.fromkeys(COLUMNS, values),
        class_=np.zeros(count, np.uint8),
    )


def test_the_lot_does_not_depend_on_tiles_or_their_order() -> None:
    all_cells, rng = cells(200), np.random.default_rng(0)
    verdict = rng.integers(0, 1 + len(REASONS), 200).astype(np.uint8)
    whole = RefusedSample()
    whole.add(all_cells, verdict)

    for seed in range(3):
        parted = RefusedSample()
        for part in np.array_split(np.random.default_rng(seed).permutation(200), 9):
            parted.add(all_cells.take(part), verdict[part])
        assert parted.record() == whole.record()

    assert [len(found) for found in whole.record().values()] == [SHOWN] * len(REASONS)


def test_refused_cells_come_back_as_they_were() -> None:
    sample = RefusedSample()
    sample.add(cells(3), np.array([0, 2, 0], np.uint8))

    found = refused_examples({"refused_examples": sample.record()})

    assert list(found) == [REASONS[1]]
    (one,) = found[REASONS[1]]
    assert shapely.Polygon(one.ring_l0).equals(shapely.box(9, 0, 13.1, 5))
    assert (one.confidence, one.area_um2, one.class_name) == (0.5, 0.5, "Doubtful")
    assert refused_examples({}) == {}


def test_the_least_confident_and_the_most_typical_cells_are_chosen(run: Path) -> None:
    frame = cells_of(run / "a")
    columns = ["area_um2", "solidity", "hematoxylin_od_mean", "confidence"]
    numbers = frame[columns].astype(np.float64)
    off = ((numbers - numbers.median()).abs() / (numbers.quantile(0.75) - numbers.quantile(0.25))).sum(axis=1)

    typical, least = chosen_examples(run / "a" / "cells.parquet", "he")

    assert list(typical) == ["Nucleus"]
    assert outlines(typical["Nucleus"]) == shapes(frame.iloc[np.argsort(off, kind="stable")[:SHOWN]])
    assert outlines(least) == shapes(frame.sort_values(["confidence", "label"]).iloc[:SHOWN])


def test_typical_cells_are_typical_of_their_class(marked: Path) -> None:
    frame = cells_of(marked)

    typical, _ = chosen_examples(marked / "cells.parquet", "ihc")

    assert set(typical) == set(frame["class"])
    for name, examples in typical.items():
        own = frame[frame["class"] == name]
        assert {one.class_name for one in examples} == {name}
        areas = [one.area_um2 for one in examples]
        low, high = own["area_um2"].quantile([0.05, 0.95])
        assert len(examples) == min(SHOWN, len(own))
        assert np.median(areas) == pytest.approx(np.clip(np.median(areas), low, high))


def outlines(examples: object) -> list[str]:
    return [shapely.Polygon(one.ring_l0).wkt for one in examples]  # type: ignore[attr-defined]


def shapes(frame: geopandas.GeoDataFrame) -> list[str]:
    return [shape.wkt for shape in frame.geometry]
