"""GeoParquet against geopandas, pyarrow and the cells that went in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import geopandas
import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
import pytest
import shapely

from wsipsm.cells.measurements import measurements
from wsipsm.cells.table import Cells, cell_uuids
from wsipsm.config import RecognizerConfig
from wsipsm.core.geometry import Grid
from wsipsm.results.formats.geoparquet import GROUP_CELLS, GeoParquetWriter, read_cells


def squares(count: int, x0: float = 0.0, stain: str = "he") -> Cells:
    """Squares of 10 px in a row, 20 px apart."""
    corners = np.array([[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]], float)
    left = x0 + 20 * np.arange(count)
    vertices = (corners + np.stack([left, np.zeros(count)], axis=1)[:, None]).reshape(-1, 2)
    names = list(measurements(stain))
    values = np.random.default_rng(0).random((len(names), count)).astype(np.float32)
    return Cells(
        anchor=np.arange(count),
        vertices_l0=vertices,
        ring_offsets=5 * np.arange(count + 1),
        centroid_l0=np.stack([left + 5, np.full(count, 5.0)], axis=1),
        columns=dict(zip(names, values, strict=True)),
        class_=(np.arange(count) % 3).astype(np.uint8),
    )


def numbers(count: int, first: int = 1) -> npt.NDArray[np.int64]:
    return np.arange(first, first + count)


def uuids_of(labels: npt.NDArray[np.int64]) -> list[str]:
    """UUIDs made of labels."""
    return cell_uuids("s", Grid(1000, 1000, 1.0, 0.25), labels)


def numbered(count: int, first: int = 1) -> tuple[npt.NDArray[np.int64], list[str]]:
    """Labels, and UUIDs made of them."""
    return numbers(count, first), uuids_of(numbers(count, first))


def test_geopandas_reads_back_what_was_written(tmp_path: Path) -> None:
    cells, path = squares(5, x0=100.5), tmp_path / "cells.parquet"

    with GeoParquetWriter(path, stain="he") as writer:
        writer.write(cells.take(np.arange(2)), *numbered(2))
        writer.write(cells.take(np.arange(2, 5)), *numbered(3, 3))

    frame = geopandas.read_parquet(path)
    assert frame.crs is None
    assert frame.geometry.geom_equals(geopandas.GeoSeries(list(cells.polygons()))).all()
    assert frame["label"].tolist() == [1, 2, 3, 4, 5]
    assert frame["uuid"].tolist() == uuids_of(numbers(5))
    assert frame["class"].tolist() == ["Nucleus", "Positive", "Negative", "Nucleus", "Positive"]
    np.testing.assert_array_equal(frame[["centroid_x", "centroid_y"]], cells.centroid_l0)
    for name, written in measurements("he").items():
        np.testing.assert_array_equal(frame[written.column].to_numpy(), cells.columns[name], strict=True)
    assert frame["label"].dtype == np.int64
    assert [entry.name for entry in tmp_path.iterdir()] == ["cells.parquet"]


def test_every_stain_of_a_configuration_has_names_and_unknown_ones_are_numbered(tmp_path: Path) -> None:
    kinds = get_args(RecognizerConfig.model_fields["stain"].annotation)
    for stain in kinds:
        with GeoParquetWriter(tmp_path / stain, stain=stain) as writer:
            writer.write(squares(2, stain=stain), *numbered(2))

    names = {stain: [name for name in pq.read_schema(tmp_path / stain).names if "od_mean" in name] for stain in kinds}
    assert names == {
        "he": ["hematoxylin_od_mean", "eosin_od_mean"],
        "ihc": ["hematoxylin_od_mean", "dab_od_mean"],
        "unknown": ["stain_1_od_mean", "stain_2_od_mean"],
    }


def test_the_metadata_says_geoparquet(tmp_path: Path) -> None:
    path = tmp_path / "cells.parquet"

    with GeoParquetWriter(path, stain="he") as writer:
        writer.write(squares(3, x0=-7), *numbered(3))

    geo = json.loads(pq.read_metadata(path).metadata[b"geo"])
    assert geo["version"] == "1.1.0"
    assert geo["primary_column"] == "geometry"
    column = geo["columns"]["geometry"]
    assert column["encoding"] == "WKB"
    assert column["geometry_types"] == ["Polygon"]
    assert column["crs"] is None
    assert column["bbox"] == [-7, 0, 43, 10]
    assert column["covering"] == {"bbox": {corner: ["bbox", corner] for corner in ("xmin", "ymin", "xmax", "ymax")}}
    schema = pq.read_schema(path)
    assert not any(schema.field(name).nullable for name in schema.names)


def test_a_reader_can_read_a_window(tmp_path: Path) -> None:
    path = tmp_path / "cells.parquet"
    with GeoParquetWriter(path, stain="he") as writer:
        for first in range(0, 3 * GROUP_CELLS, 5_000):
            writer.write(squares(5_000, x0=20 * first), *numbered(5_000, first))

    window = geopandas.read_parquet(path, bbox=(1_000, 0, 1_100, 10))

    assert window["label"].tolist() == [50, 51, 52, 53, 54, 55]
    file = pq.ParquetFile(path)
    assert [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)] == [GROUP_CELLS] * 3


def test_no_cell_gives_an_empty_table(tmp_path: Path) -> None:
    with GeoParquetWriter(tmp_path / "cells.parquet", stain="he") as writer:
        writer.write(squares(0), *numbered(0))

    frame = geopandas.read_parquet(tmp_path / "cells.parquet")
    assert len(frame) == 0
    assert {"label", "uuid", "geometry", "class", *(one.column for one in measurements("he").values())} <= set(
        frame.columns
    )


def test_a_failure_leaves_the_earlier_file_alone(tmp_path: Path) -> None:
    path = tmp_path / "cells.parquet"
    with GeoParquetWriter(path, stain="he") as writer:
        writer.write(squares(2), *numbered(2))
    before = path.read_bytes()

    with pytest.raises(RuntimeError, match="power cut"):
        write_and_fail(path)

    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["cells.parquet"]


def write_and_fail(path: Path) -> None:
    with GeoParquetWriter(path, stain="he") as writer:
        writer.write(squares(9), *numbered(9))
        raise RuntimeError("power cut")


def test_the_same_cells_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with GeoParquetWriter(tmp_path / name, stain="he") as writer:
            writer.write(squares(50), *numbered(50))

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_outlines_are_valid_wkb(tmp_path: Path) -> None:
    with GeoParquetWriter(tmp_path / "cells.parquet", stain="he") as writer:
        writer.write(squares(4), *numbered(4))

    wkb = pq.read_table(tmp_path / "cells.parquet", columns=["geometry"])["geometry"].to_pylist()

    assert shapely.area(shapely.from_wkb(wkb)).tolist() == [100.0] * 4


def test_anchors_come_back_and_are_unknown_where_an_earlier_version_did_not_store_them(tmp_path: Path) -> None:
    cells, path = squares(4), tmp_path / "cells.parquet"
    with GeoParquetWriter(path, stain="he") as writer:
        writer.write(cells, *numbered(4))

    ((stored, _, _),) = read_cells(path, stain="he")
    pq.write_table(pq.read_table(path).drop_columns(["anchor"]), path)
    ((older, _, _),) = read_cells(path, stain="he")

    assert stored.anchor.tolist() == cells.anchor.tolist()
    assert older.anchor.tolist() == [-1] * 4
