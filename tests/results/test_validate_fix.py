"""A mended file is one that QuPath takes, and holds what could be saved."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
import shapely

from tests.helpers import faults
from tests.helpers.command import wsipsm
from wsipsm.results.validate.geojson import check_geojson

LOST = {"no geometry", "null geometry", "circle", "no coordinates", "three points", "flat ring", "sliver"} | {
    "collection as geometry"
}
"""Faults whose feature cannot be saved."""


def mended(tmp_path: Path, content: Any, name: str = "cells.geojson") -> list[dict[str, Any]]:
    """Features of the mended file, which must be good."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else faults.dumps(content))
    target = tmp_path / "mended.geojson.gz"
    report = check_geojson(path, fix=target)
    again = check_geojson(target)
    assert again.good, again.findings
    features = json.loads(gzip.decompress(target.read_bytes()))["features"]
    assert len(features) == again.objects
    assert report.dropped >= 0
    return list(features)


@pytest.mark.parametrize("name", faults.FEATURES)
def test_every_fault_is_mended_or_its_feature_dropped(name: str, tmp_path: Path) -> None:
    table = faults.collection()
    faults.FEATURES[name][2](table)

    features = mended(tmp_path, table)

    assert len(features) == (2 if name in LOST else 3)
    assert features[0] == faults.feature(0)
    assert features[-1] == faults.feature(2)


@pytest.mark.parametrize("name", sorted(set(faults.FILES) - {"nothing", "no feature"}))
def test_a_file_is_written_anew(name: str, tmp_path: Path) -> None:
    _, _, file, content = faults.FILES[name]

    features = mended(tmp_path, content, file)

    whole = faults.collection()["features"]
    lost = {"cut": whole[:2], "single quotes": whole[1:], "a bare feature": whole[:1]}
    assert features == lost.get(name, whole)


def mended_outline(tmp_path: Path, geometry: dict[str, Any], object_type: str = "detection") -> Any:
    table = faults.collection(1, object_type)
    table["features"][0]["geometry"] = geometry
    return shapely.geometry.shape(mended(tmp_path, table)[0]["geometry"])


def test_a_hole_is_filled_and_the_largest_part_kept(tmp_path: Path) -> None:
    parts = [[faults.square(0.0), faults.HOLE], [faults.square(40.0, 3.0)]]

    outline = mended_outline(tmp_path, {"type": "MultiPolygon", "coordinates": parts})

    assert outline.equals(shapely.box(0, 0, 8, 8))


def test_an_annotation_keeps_its_holes_and_parts(tmp_path: Path) -> None:
    parts = [[faults.square(0.0), faults.HOLE], [faults.BOW_TIE]]

    outline = mended_outline(tmp_path, {"type": "MultiPolygon", "coordinates": parts[:1]}, "annotation")

    assert outline.area == 63


def test_of_a_bow_tie_the_larger_wing_is_kept(tmp_path: Path) -> None:
    ring = [[0.0, 0.0], [6.0, 6.0], [6.0, 0.0], [0.0, 2.0], [0.0, 0.0]]
    crossing = shapely.make_valid(shapely.Polygon(ring))
    larger = max(crossing.geoms, key=lambda part: part.area)

    outline = mended_outline(tmp_path, {"type": "Polygon", "coordinates": [ring]})

    assert outline.area == pytest.approx(larger.area, rel=0.01)


def test_an_open_ring_is_closed(tmp_path: Path) -> None:
    for ring in (faults.square(0.0)[:-1], [*faults.square(0.0)[:-1], [0.0, 1e-9]]):
        outline = mended_outline(tmp_path, {"type": "Polygon", "coordinates": [ring]})
        assert outline.equals(shapely.box(0, 0, 8, 8))


def test_a_type_of_another_tool_becomes_a_class_with_one_colour(tmp_path: Path) -> None:
    table = faults.collection(4)
    for i, one in enumerate(table["features"]):
        one["properties"] = {"type": "Neoplastic" if i % 2 else "Positive"}

    features = mended(tmp_path, table)

    classes = [one["properties"]["classification"] for one in features]
    assert [one["name"] for one in classes] == ["Positive", "Neoplastic"] * 2
    assert classes[0]["color"] == [250, 62, 62], "QuPath's own colour of Positive"
    assert classes[1] == classes[3]
    assert {one["properties"]["objectType"] for one in features} == {"detection"}


def test_ids_are_unique_and_the_same_every_time(tmp_path: Path) -> None:
    table = faults.collection(3)
    for one in table["features"]:
        one["id"] = "cell"

    first = [one["id"] for one in mended(tmp_path, table)]

    assert first == [one["id"] for one in mended(tmp_path, table)]
    assert len(set(first)) == 3


def test_colours_are_read_in_every_form(tmp_path: Path) -> None:
    for color, expected in (
        ("#3c8cff", [60, 140, 255]),
        (-16711936, [0, 255, 0]),
        ([0.2, 0.4, 1.0], [51, 102, 255]),
        ([60, 140, 255, 128], [60, 140, 255]),
        ([60, 140, 300], [60, 140, 255]),
    ):
        table = faults.collection(1)
        table["features"][0]["properties"]["classification"]["color"] = color
        (feature,) = mended(tmp_path, table)
        assert feature["properties"]["classification"]["color"] == expected


def test_the_command_says_what_it_did_and_what_it_dropped(tmp_path: Path) -> None:
    table = faults.collection(4)
    table["features"][0]["geometry"]["coordinates"] = [faults.FLAT]
    table["features"][1]["geometry"]["coordinates"] = [faults.square(20.0)[:-1]]
    path = faults.write(tmp_path / "cells.geojson", table)

    done = wsipsm("validate", path, "--fix", tmp_path / "mended.geojson")

    assert done.returncode == 1
    last = done.stdout.splitlines()[-1]
    assert "rings closed (1)" in last
    assert "1 dropped" in last
    assert wsipsm("validate", tmp_path / "mended.geojson").returncode == 0
