"""What the check says of planted faults, beside an oracle that shares no code with it."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest

from tests.helpers import faults
from tests.helpers.command import wsipsm
from tests.helpers.qupath import read_as_qupath
from wsipsm.core.errors import OutputError
from wsipsm.results.validate import stream
from wsipsm.results.validate.geojson import check_geojson


@pytest.mark.parametrize("name", faults.FEATURES)
def test_a_fault_of_a_feature_is_found_and_placed(name: str, tmp_path: Path) -> None:
    severity, rule, change = faults.FEATURES[name]
    table = faults.collection()
    change(table)
    path = faults.write(tmp_path / "cells.geojson.gz", table)

    report = check_geojson(path)

    assert set(report.findings) == {rule}, report.findings
    found = report.findings[rule]
    assert (found.rule.severity, found.first, found.count) == (severity, 1, 1)
    assert report.good == (severity == "minor")
    if severity != "minor":
        with pytest.raises((AssertionError, ValueError, TypeError, KeyError, AttributeError, LookupError)):
            read_as_qupath(path)


@pytest.mark.parametrize("name", faults.FEATURES)
def test_a_fault_behind_many_good_features_is_found_as_well(name: str, tmp_path: Path) -> None:
    _, rule, change = faults.FEATURES[name]
    table, before = faults.collection(), 250
    change(table)
    good = faults.collection(before)["features"]
    for i, feature in enumerate(good):
        feature["id"] = f"{i:08x}-1111-0000-0000-000000000000"
    path = faults.write(tmp_path / "cells.geojson.gz", table | {"features": [*good, *table["features"]]})

    report = check_geojson(path)

    assert set(report.findings) == {rule}, report.findings
    assert (report.findings[rule].first, report.findings[rule].count) == (before + 1, 1)


@pytest.mark.parametrize("name", faults.FILES)
def test_a_fault_of_a_file_is_found(name: str, tmp_path: Path) -> None:
    severity, rule, file, content = faults.FILES[name]
    path = tmp_path / file
    path.write_bytes(content)

    report = check_geojson(path)

    assert report.findings[rule].rule.severity == severity
    assert report.good == (severity == "minor")


@pytest.mark.parametrize("object_type", ["detection", "annotation", "cell"])
def test_check_and_oracle_agree_on_good_files(object_type: str, tmp_path: Path) -> None:
    path = faults.write(tmp_path / "cells.geojson.gz", faults.collection(2100, object_type))

    report = check_geojson(path)

    assert report.findings == {}
    assert report.objects == len(read_as_qupath(path, object_type)) == 2100


def test_files_of_qupath_itself_are_good(shared_data: Path) -> None:
    for path in sorted((shared_data / "qupath").glob("*.geojson")):
        assert check_geojson(path).good, path


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_where_the_file_is_cut_while_it_is_read_does_not_matter(
    chunk: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = faults.collection(4)
    table["features"][0]["properties"]["name"] = 'a "quoted" } { [ name \\'
    path = tmp_path / "cells.geojson"
    path.write_text(json.dumps({"features of": {"features": [{}]}} | table, indent=2))
    monkeypatch.setattr(stream, "CHUNK", chunk)

    texts = [piece.text for piece in stream.FeatureStream(path)]

    assert [json.loads(text) for text in texts] == table["features"]


@pytest.mark.parametrize("chunk", [1, 1 << 10, 1 << 20])
@pytest.mark.parametrize("indent", [None, 1])
def test_features_of_all_forms_in_one_file_are_cut_out_whole(
    chunk: int, indent: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kinds = [
        {"type": "Feature", "parts": [{"a": {"b": {}}}, {"type": "Feature", "a": {}}], "properties": {"name": "}},{"}},
        {"properties": {"measurements": {"x": 1}}, "type": "Feature"},
        {"type": "Feature", "value": float("nan"), "properties": {"é": {}}},
        {},
        {"type": "Feature", "properties": {"names": ['}},\n{"type":']}},
    ]
    features = [kinds[i] for i in [*range(5), 1, 1, 0, 0, 2, 2, 3, 3, 4, 4, 1, 3, 0, 4, 2, 0] * 3]
    path = tmp_path / "cells.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}, indent=indent))
    monkeypatch.setattr(stream, "CHUNK", chunk)

    pieces = list(stream.FeatureStream(path))

    assert [json.dumps(json.loads(piece.text)) for piece in pieces] == [json.dumps(one) for one in features]
    parsed = [piece.content for piece in pieces if piece.content is not None]
    assert parsed == [json.loads(piece.text) for piece in pieces if piece.content is not None]
    assert bool(parsed) == (chunk > 1)


def test_a_damaged_gzip_file_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "cells.geojson.gz"
    path.write_bytes(gzip.compress(faults.dumps(faults.collection(2000)))[:-3000])

    report = check_geojson(path)

    assert report.findings["truncated"].rule.severity == "abort"
    assert 0 < report.objects < 2000


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    peaks = []
    for count in (4_000, 12_000):
        path = faults.write(tmp_path / f"{count}.geojson.gz", faults.collection(count))
        tracemalloc.start()
        assert check_geojson(path).good
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()

    assert peaks[1] < 1.5 * peaks[0]


def test_exports_of_other_tools_are_told_what_is_wrong(tmp_path: Path) -> None:
    outline = {"type": "Polygon", "coordinates": [faults.square(0.0)]}
    tiatoolbox = {"type": "Feature", "geometry": outline, "properties": {"type": 1, "prob": 0.9}}
    cellvit = {
        "type": "Feature",
        "id": "37a0d5ee-0d85-4d35-8d13-a0f1a9c3b1a5",
        "geometry": {"type": "MultiPolygon", "coordinates": [[faults.square(0.0)], [faults.square(40.0)]]},
        "properties": {"objectType": "annotation", "classification": {"name": "Neoplastic", "color": [255, 0, 0]}},
    }
    stardist = {"type": "Feature", "id": "PathDetectionObject", "geometry": outline, "properties": {"isLocked": False}}
    instanseg = {"type": "Feature", "id": 1, "geometry": outline, "properties": {"object_type": "detection"}}
    expected = {
        "tiatoolbox": (tiatoolbox, {"type_taken_for_object_type", "id_missing", "properties_unread"}),
        "cellvit": ([cellvit], {"bare_list", "polygon_of_parts"}),
        "stardist": (stardist, {"object_type_missing", "id_not_uuid"}),
        "instanseg": (instanseg, {"id_not_uuid"}),
    }
    for name, (content, rules) in expected.items():
        table = content if isinstance(content, list) else {"type": "FeatureCollection", "features": [content]}
        path = tmp_path / f"{name}.geojson"
        path.write_bytes(faults.dumps(table))
        assert set(check_geojson(path).findings) == rules, name


def test_the_command_says_it_in_a_line_and_an_exit_code(tmp_path: Path) -> None:
    table = faults.collection()
    for one in table["features"][1:]:
        del one["properties"]["classification"]["color"]
    path = faults.write(tmp_path / "cells.geojson", table)

    done, listed = wsipsm("validate", path), wsipsm("validate", path, "--json")

    assert done.returncode == listed.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if "class_without_color" in line]
    assert line.split()[0] == "abort"
    assert "2 x, first at feature 1 (00000000-0000-0000-0000-000000000002)" in line
    (report,) = json.loads(listed.stdout)
    assert report["findings"][0]["rule"] == "class_without_color"
    assert wsipsm("validate", faults.write(tmp_path / "good.geojson", faults.collection())).returncode == 0


def test_what_cannot_be_checked_is_refused(tmp_path: Path) -> None:
    for arguments, expected in (
        ((tmp_path / "no.geojson",), "not found"),
        ((tmp_path,), "holds no results"),
        ((tmp_path, "--fix", tmp_path / "x.geojson"), "expected a file"),
    ):
        done = wsipsm("validate", *arguments)
        assert done.returncode == 1
        assert expected in done.stderr
    with pytest.raises(OutputError, match="expected a name"):
        check_geojson(faults.write(tmp_path / "a.geojson", faults.collection()), fix=tmp_path / "b.json")
