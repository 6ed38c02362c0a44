"""Regions out to QuPath and in from it."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import shapely
from shapely.geometry import mapping

from tests.helpers.qupath import read_annotations_as_qupath
from wsipsm.core.errors import RegionError
from wsipsm.slide.annotations import Annotation, read_regions, write_annotations, write_regions

SQUARE = shapely.box(10, 20, 30, 40)
WITH_HOLE = SQUARE.difference(shapely.box(15, 25, 20, 30))
TWO = shapely.union_all([SQUARE, shapely.box(50, 50, 60, 60)])


def feature(geometry: shapely.Geometry) -> dict[str, Any]:
    return {"type": "Feature", "geometry": mapping(geometry), "properties": {"objectType": "annotation"}}


def collection(*geometries: shapely.Geometry) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": [feature(one) for one in geometries]}


@pytest.mark.parametrize(
    "table",
    [
        collection(SQUARE),
        feature(SQUARE),
        mapping(SQUARE),
        [feature(SQUARE)],
        [mapping(SQUARE)],
        collection(shapely.Point(1, 1), SQUARE, shapely.LineString([(0, 0), (1, 1)])),
        mapping(shapely.GeometryCollection([SQUARE, shapely.Point(0, 0)])),
        {"type": "FeatureCollection", "features": [{"type": "Feature", "geometry": None}, feature(SQUARE)]},
        mapping(shapely.force_3d(SQUARE, 7)),
    ],
    ids=["collection", "feature", "geometry", "list", "geometries", "mixed", "nested", "null geometry", "3d"],
)
def test_every_form_of_geojson_is_read(tmp_path: Path, table: Any) -> None:
    path = tmp_path / "roi.geojson"
    path.write_text(json.dumps(table))

    regions = read_regions(path).areas

    assert len(regions) == 1
    assert regions[0].equals(SQUARE)


@pytest.mark.parametrize("name", ["roi.json", "roi.geojson.gz", "roi.gz"])
def test_gzip_is_recognised_by_its_content(tmp_path: Path, name: str) -> None:
    text = json.dumps(collection(WITH_HOLE, TWO)).encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else b"\xef\xbb\xbf" + text)

    regions = read_regions(tmp_path / name).areas

    assert [region.geom_type for region in regions] == ["Polygon", "MultiPolygon"]
    assert shapely.area(regions).tolist() == [375.0, 500.0]


def test_a_ring_that_crosses_itself_is_repaired(tmp_path: Path) -> None:
    path = tmp_path / "roi.geojson"
    path.write_text(json.dumps(mapping(shapely.Polygon([(0, 0), (4, 4), (4, 0), (0, 4)]))))

    regions = read_regions(path).areas

    assert all(region.is_valid for region in regions)
    assert sum(region.area for region in regions) == 8


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\x89PNG\r\n", "not JSON"),
        (b'{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,NaN],[0,0]]]}', "not a GeoJSON geometry"),
        (gzip.compress(b"{}" * 999, mtime=0)[:-9], "damaged gzip"),
        (b"[]", "holds no area to search .no object"),
        (b'{"type":"FeatureCollection","features":[]}', "holds no area"),
        (b'{"type":"FeatureCollection"}', "not a GeoJSON geometry"),
        (b'{"type":"FeatureCollection","features":null}', "not a GeoJSON geometry"),
        (b'{"a":1}', "not a GeoJSON geometry"),
        (b"3", "not a GeoJSON geometry"),
        (b"null", "not a GeoJSON geometry"),
        (b'{"type":"Sphere","coordinates":[]}', "not a GeoJSON geometry"),
        (b'{"type":"Polygon"}', "not a GeoJSON geometry"),
        (b'{"type":"Polygon","coordinates":[[["a","b"],[1,0],[1,1],[0,0]]]}', "not a GeoJSON geometry"),
        (b'{"type":"Polygon","coordinates":[[[0,null],[1,0],[1,1],[0,0]]]}', "not a GeoJSON geometry"),
        (b'{"type":"Polygon","coordinates":[[["inf",0],[1,0],[1,1],[0,0]]]}', "not a finite number"),
        (b'{"type":"Polygon","coordinates":[[[0,0],[1,0]]]}', "not a GeoJSON geometry"),
        (b'{"type":"Polygon","coordinates":[3]}', "not a GeoJSON geometry"),
        (b'{"type":"Polygon","coordinates":[]}', "holds no area"),
        (
            b'{"type":"Polygon","coordinates":[[[0,0],[1,1],[2,2],[0,0]]]}',
            "holds no area to search .1 Polygon without an area",
        ),
        (b'{"type":"Point","coordinates":[0,0]}', "holds no area to search .1 point"),
        (b'{"type":"LineString","coordinates":[[0,0],[1,1]]}', "holds no area to search .1 line"),
    ],
)
def test_what_is_no_region_is_refused_in_one_line(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "roi.geojson"
    path.write_bytes(content)

    with pytest.raises(RegionError, match=message) as error:
        read_regions(path)

    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.geojson", tmp_path):
        with pytest.raises(RegionError, match="cannot be read"):
            read_regions(path)


@pytest.mark.parametrize("name", ["tissue.geojson", "tissue.geojson.gz"])
def test_regions_come_back_in_the_frame_they_were_written_in(tmp_path: Path, name: str) -> None:
    path = tmp_path / name

    write_regions([WITH_HOLE, TWO], path, name="Tissue", color=(1, 2, 3), offset_l0=(10, 20))

    regions = read_regions(path).areas
    assert [region.geom_type for region in regions] == ["Polygon"] * 3
    moved = shapely.transform(shapely.MultiPolygon([WITH_HOLE]), lambda xy: xy - (10, 20))
    assert regions[0].equals(moved)
    raw = path.read_bytes()
    table = json.loads(gzip.decompress(raw) if name.endswith("gz") else raw)
    for one in table["features"]:
        assert one["properties"] == {
            "objectType": "annotation",
            "classification": {"name": "Tissue", "color": [1, 2, 3]},
        }
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_written_regions_are_valid_with_one_decimal(tmp_path: Path) -> None:
    spiky = shapely.Point(1000.123, 2000.456).buffer(500).difference(shapely.Point(1490, 2000).buffer(9.99))
    path = tmp_path / "tissue.geojson"

    write_regions([spiky, shapely.box(0, 0, 0.01, 0.01)], path, name="Tissue", color=(1, 2, 3), offset_l0=(0, 0))

    (region,) = read_regions(path).areas
    assert region.is_valid
    assert region.symmetric_difference(spiky).area < 0.1 * spiky.length
    coordinates = shapely.get_coordinates(region).ravel().tolist()
    assert all(len(repr(value).partition(".")[2]) == 1 for value in coordinates)


def of_kind(geometry: shapely.Geometry | None, kind: str, class_name: str = "") -> dict[str, Any]:
    properties = {"objectType": kind} | ({"classification": {"name": class_name}} if class_name else {})
    return {"type": "Feature", "geometry": {} if geometry is None else mapping(geometry), "properties": properties}


def written(path: Path, *features: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_only_annotations_of_an_export_of_all_objects_are_regions(tmp_path: Path) -> None:
    others = [of_kind(shapely.box(0, 0, 5, 5), kind) for kind in ("detection", "detection", "cell", "tile")]
    path = written(
        tmp_path / "all.geojson",
        of_kind(None, "root"),
        of_kind(SQUARE, "annotation", "Region*"),
        *others,
        of_kind(shapely.Point(1, 1), "annotation"),
    )

    regions = read_regions(path)

    assert [region.equals(SQUARE) for region in regions.areas] == [True]
    assert regions.note == (
        "all.geojson: 2 detections, 1 root object without a geometry, 1 cell, 1 tile, 1 point passed over"
    )


def test_what_is_of_an_ignored_class_is_cut_out(tmp_path: Path) -> None:
    ignored = of_kind(shapely.box(0, 0, 20, 100), "annotation", "Tumor: Ignore*")
    path = written(tmp_path / "roi.geojson", of_kind(SQUARE, "annotation", "Tissue"), ignored)

    regions = read_regions(path)

    assert [region.equals(shapely.box(20, 20, 30, 40)) for region in regions.areas] == [True]
    assert regions.note == "roi.geojson: 1 of an ignored class (*) cut out"
    with pytest.raises(RegionError, match=r"holds no area to search \(1 area of an ignored class"):
        read_regions(written(path, ignored))


def test_the_types_of_qupath_02_are_known(tmp_path: Path) -> None:
    old = {"type": "Feature", "id": "PathDetectionObject", "geometry": mapping(SQUARE), "properties": {}}
    path = written(tmp_path / "roi.geojson", old, {**old, "id": "PathAnnotationObject", "geometry": mapping(TWO)})

    assert [region.equals(TWO) for region in read_regions(path).areas] == [True]


def test_a_zip_is_read_as_its_members(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("a.geojson", json.dumps(collection(SQUARE)))
        archive.writestr("b.json", json.dumps(collection(TWO)))
        archive.writestr("__MACOSX/._a.geojson", b"not json")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("slide.txt", "")
    (tmp_path / "damaged.zip").write_bytes((tmp_path / "all.zip").read_bytes()[:60])

    assert shapely.area(read_regions(tmp_path / "all.zip").areas).tolist() == [400, 500]
    for name, message in (("other.zip", "without a .geojson"), ("damaged.zip", "a zip file that cannot be read")):
        with pytest.raises(RegionError, match=message):
            read_regions(tmp_path / name)


def test_a_bare_nan_beside_the_geometry_is_read(tmp_path: Path) -> None:
    path = tmp_path / "nan.geojson"
    text = json.dumps(of_kind(SQUARE, "annotation"))
    path.write_text(text.replace('"objectType"', '"measurements": {"a": NaN, "b": Infinity}, "objectType"'))

    assert read_regions(path).areas[0].equals(SQUARE)


@pytest.mark.shared_data
def test_files_of_qupaths_own_writer(shared_data: Path) -> None:
    folder = shared_data / "qupath"
    read = {name: read_regions(folder / name) for name in EXPECTED}

    assert {name: [round(area.area) for area in regions.areas] for name, regions in read.items()} == EXPECTED
    for name, message in (("root.geojson", "without a geometry"), ("ignore.geojson", "ignored class")):
        with pytest.raises(RegionError, match=message):
            read_regions(folder / name)


EXPECTED = {
    "mix_all_objects.geojson": [200 * 200],
    "tissue_and_ignore.geojson": [250_000 - 90_000],
    "nan044.geojson": [50 * 50],
}
"""Areas as drawn, px2, see the folder's README."""


def test_regions_are_named_by_their_name_or_else_their_class(tmp_path: Path) -> None:
    properties: list[Any] = [
        {"name": "Core 3", "classification": {"name": "Tumor"}},
        {"classification": {"name": "Tumor"}},
        {"classification": {"names": ["Tumor", "Edge"]}},
        {"name": None, "classification": None},
        None,
    ]
    features = [feature(TWO) | {"properties": one} for one in properties]
    features.insert(0, feature(shapely.Point(1, 1)))
    (tmp_path / "roi.json").write_text(json.dumps({"type": "FeatureCollection", "features": features}))

    found = read_regions(tmp_path / "roi.json").named

    assert [name for name, _ in found] == ["Core 3", "Tumor", "Tumor: Edge", "", ""]
    assert all(polygons[0].equals(TWO) for _, polygons in found)


def test_annotations_carry_names_and_figures_and_keep_their_parts_together(tmp_path: Path) -> None:
    path = tmp_path / "found.geojson"
    annotations = [
        Annotation(TWO, "Hot spot", (255, 140, 0), name="Hot spot 1", measurements={"Index: Positive %": 12.5}),
        Annotation(shapely.box(0, 0, 0.01, 0.01), "Region", (1, 2, 3)),
    ]

    write_annotations(annotations, path, offset_l0=(10, 20))

    (one,) = read_annotations_as_qupath(path)
    assert one["properties"] == {
        "objectType": "annotation",
        "name": "Hot spot 1",
        "classification": {"name": "Hot spot", "color": [255, 140, 0]},
        "measurements": {"Index: Positive %": 12.5},
    }
    assert shapely.geometry.shape(one["geometry"]).equals(shapely.transform(TWO, lambda xy: xy - (10, 20)))
