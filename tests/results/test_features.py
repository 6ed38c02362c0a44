"""Text of features, byte by byte against the features written one after the other by orjson."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from wsipsm.cells.classes import CLASSES
from wsipsm.cells.measurements import measurements
from wsipsm.cells.outlines import Rings
from wsipsm.cells.table import Cells, cell_uuids
from wsipsm.config import OutputConfig
from wsipsm.core.errors import OutputError
from wsipsm.core.geometry import Grid
from wsipsm.results.formats.features import CHUNK_CELLS, CellFeatures, polygon_features
from wsipsm.results.formats.text import numbers, rows
from wsipsm.results.formats.wkb import from_wkb, ring_bounds, to_wkb

KINDS = ("detection", "annotation", "cell", None)


def random_cells(count: int, seed: int = 0, stain: str = "ihc", *, whole: bool = False) -> Cells:
    """Rings of 4 to 40 vertices up to 100 000 px, some below 0, measurements of all sizes."""
    random = np.random.default_rng(seed)
    lengths = random.integers(4, 41, count)
    around = np.repeat(random.uniform(-500, 100_000, (count, 2)), lengths, axis=0)
    names = list(measurements(stain, whole=whole))
    vertices, offsets = np.round(around + random.uniform(-30, 30, around.shape), 1), np.cumsum([0, *lengths])
    vertices[offsets[1:] - 1] = vertices[offsets[:-1]]
    sizes = random.choice([0.0, 1e-5, 0.01, 1.0, 300.0, 1e6], (len(names), count))
    return Cells(
        anchor=np.arange(count),
        vertices_l0=vertices,
        ring_offsets=offsets,
        centroid_l0=random.uniform(-5, 100_000, (count, 2)),
        columns=dict(zip(names, (random.normal(0, 1, sizes.shape) * sizes).astype(np.float32), strict=True)),
        class_=random.integers(0, len(CLASSES.names), count).astype(np.uint8),
        whole_l0=Rings(np.round(vertices * 1.5, 1), offsets) if whole else None,
    )


def one_after_the_other(
    cells: Cells, labels: Any, uuids: list[str], config: OutputConfig, offset: tuple[int, int]
) -> bytes:
    """Each feature as a dictionary."""
    whole = cells.whole_l0 is not None
    kind = config.object_type or ("cell" if whole and config.objects == "polygons" else "detection")
    vertices, centres = (np.round(xy - offset, 1) + 0.0 for xy in (cells.vertices_l0, cells.centroid_l0))
    outer = np.round(cells.whole_l0.vertices - offset, 1) + 0.0 if cells.whole_l0 else vertices
    written = []
    for i, (start, stop) in enumerate(pairwise(cells.ring_offsets.tolist())):
        nucleus = {"type": "Polygon", "coordinates": [vertices[start:stop].tolist()]}
        cell = {"type": "Polygon", "coordinates": [outer[start:stop].tolist()]}
        outline = cell if kind == "cell" else nucleus
        point = {"type": "Point", "coordinates": centres[i].tolist()}
        class_ = int(cells.class_[i])
        measured = {
            one.of_cell if kind == "cell" and one.of_cell else one.title: float(
                np.round(np.float64(cells.columns[name][i]), one.decimals)
            )
            for name, one in measurements("ihc", whole=whole).items()
        }
        feature = {
            "type": "Feature",
            "id": uuids[i],
            "geometry": point if config.objects == "points" else outline,
            "properties": {
                "objectType": kind,
                "classification": {"name": CLASSES.names[class_], "color": CLASSES.colors[class_]},
                "measurements": measured | {"Label": int(labels[i])},
            },
        }
        written.append(orjson.dumps(feature | ({"nucleusGeometry": nucleus} if kind == "cell" else {})))
    return b",".join(written)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("object_type", KINDS)
@pytest.mark.parametrize("objects", ["polygons", "points"])
@pytest.mark.parametrize("offset", [(0, 0), (123, 60_000)])
def test_text_of_cells_is_that_of_orjson(object_type: Any, objects: Any, offset: tuple[int, int], whole: bool) -> None:
    cells = random_cells(300, whole=whole)
    labels = np.random.default_rng(1).permutation(20_000_000)[:300]
    uuids = cell_uuids("s", Grid(1000, 1000, 1.0, 0.25), labels)
    config = OutputConfig(object_type=object_type, objects=objects)

    text = b"".join(CellFeatures(config, offset, "ihc").texts(cells, labels, uuids))

    assert text == b"," + one_after_the_other(cells, labels, uuids, config, offset)


@pytest.mark.parametrize("count", [0, 1, CHUNK_CELLS, 2 * CHUNK_CELLS + 1])
def test_text_does_not_depend_on_how_many_cells_are_written_at_once(count: int) -> None:
    cells, labels = random_cells(count), np.arange(count)
    uuids = cell_uuids("s", Grid(1000, 1000, 1.0, 0.25), labels)
    features = CellFeatures(OutputConfig(), (0, 0), "ihc")

    halves = [slice(0, count // 3), slice(count // 3, None)]
    parts = [text for one in halves for text in features.texts(cells.part(one), labels[one], uuids[one])]

    assert b"".join(parts) == b"".join(features.texts(cells, labels, uuids))


def test_segmentation_for_space_ranger_is_that_of_orjson() -> None:
    cells, labels = random_cells(50), np.arange(9_990, 10_040)

    text = b"".join(polygon_features(cells, labels, (10, 20)))[1:]
    features = orjson.loads(b"[" + text + b"]")

    vertices = np.round(cells.vertices_l0 - (10, 20), 1) + 0.0
    for i, feature in enumerate(features):
        ring = vertices[cells.ring_offsets[i] : cells.ring_offsets[i + 1]].tolist()
        assert feature["geometry"] == {"type": "Polygon", "coordinates": [ring]}
        assert feature["properties"] == {"cell_id": i + 9_990}
    assert text == b",".join(orjson.dumps(one) for one in features)


@given(
    whole=st.lists(st.integers(1 - 10**15, 10**15 - 1) | st.integers(-20_000, 20_000), min_size=1, max_size=20),
    decimals=st.integers(0, 4),
)
def test_numbers_are_written_as_orjson_writes_them(whole: list[int], decimals: int) -> None:
    written = rows(len(whole), numbers(np.array(whole, float), decimals), b"\n").decode().split()

    expected = [orjson.dumps(one / 10**decimals if decimals else one).decode() for one in whole]
    assert written == expected


def test_what_rounds_to_zero_keeps_its_sign_as_floats_do() -> None:
    assert rows(2, numbers(np.array([-0.0, 0.0]), 4), b" ") == b"-0.0 0.0 "


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf, 1e17])
def test_a_number_that_cannot_be_written_is_told(number: float) -> None:
    with pytest.raises(OutputError, match="expected finite numbers"):
        numbers(np.array([1.0, number]), 2)


def test_a_part_of_the_cells_is_what_taking_them_gives() -> None:
    cells = random_cells(20)
    for where in (slice(0, 20), slice(3, 9), slice(19, 25), slice(7, 7), slice(9, 3)):
        part, taken = cells.part(where), cells.take(np.arange(20)[where])
        assert len(part) == len(taken)
        for name in ("anchor", "vertices_l0", "ring_offsets", "centroid_l0", "class_"):
            np.testing.assert_array_equal(getattr(part, name), getattr(taken, name))
        np.testing.assert_array_equal(list(part.columns.values()), list(taken.columns.values()))


def test_wkb_and_bounds_are_those_of_shapely() -> None:
    cells = random_cells(100)

    written = to_wkb(cells.outlines_l0)
    rings = from_wkb(pa.chunked_array([written[:30], written[30:30], written[30:]]))

    assert written.to_pylist() == shapely.to_wkb(cells.polygons()).tolist()
    np.testing.assert_array_equal(rings.vertices, cells.vertices_l0)
    np.testing.assert_array_equal(rings.offsets, cells.ring_offsets)
    np.testing.assert_array_equal(ring_bounds(rings), shapely.bounds(cells.polygons()))


@pytest.mark.parametrize("byte_order", [0, 1])
def test_wkb_of_other_programs_is_read_too(byte_order: int) -> None:
    holed = shapely.Polygon([(0, 0), (9, 0), (9, 9), (0, 0)], [[(5, 2), (7, 2), (7, 4), (5, 2)]])
    outlines = [holed, shapely.box(1, 2, 3, 4)]

    rings = from_wkb(pa.chunked_array([pa.array(shapely.to_wkb(outlines, byte_order=byte_order))]))

    assert rings.offsets.tolist() == [0, 4, 9]
    np.testing.assert_array_equal(rings.vertices, np.concatenate([one.exterior.coords for one in outlines]))
    assert len(from_wkb(pa.chunked_array([], pa.binary()))) == 0
