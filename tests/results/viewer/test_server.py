"""What the viewer's server gives: tiles, columns, outlines and regions, against what is stored."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import shapely
import zarr
from PIL import Image
from starlette.testclient import TestClient

from tests.helpers.command import wsipsm
from tests.helpers.results import cells_of, labels_of
from tests.helpers.viewed import admitted, unfinished_row
from wsipsm.core.errors import InputError
from wsipsm.results.viewer.listing import Listing
from wsipsm.results.viewer.tiles import LARGEST_ID, MARGIN_PX, TILE_PX, ids_as_png, picture_tile
from wsipsm.slide import open_slide


def test_slides_are_listed_while_the_run_goes_on_and_open_once_they_are_finished(out: Path, whole: Path) -> None:
    unfinished_row(out, Path("/slides/late.svs"))
    client = admitted(out)

    first, second = client.get("/api/slides").json()["slides"]
    unfinished = client.get("/api/slides/late")
    (out / "late").mkdir()
    (out / "late" / "labels.ome.zarr").mkdir()  # a store that is being written
    begun = client.get("/api/slides/late")
    shutil.rmtree(out / "late")
    shutil.copytree(whole, out / "late")

    assert (first["id"], first["status"]) == (whole.name, "done")
    assert first["version"]
    assert (second["id"], second["status"], second["tiles_done"], second["version"]) == ("late", "running", 3, "")
    assert (unfinished.status_code, begun.status_code) == (404, 404)
    assert client.get("/api/slides/late").json()["cells"]["count"] == len(cells_of(whole))


def test_a_folder_without_its_table_lists_the_results_in_it(out: Path, whole: Path) -> None:
    (out / "slides.csv").unlink()
    listing = Listing(out, lambda: ("", []))
    single = Listing(out / whole.name, lambda: ("", []))

    for one in (listing, single):
        (row,) = one.table()["slides"]
        assert (row["id"], row["status"], row["cells"]) == (whole.name, "done", len(cells_of(whole)))
        assert one.folder(whole.name) == (out / whole.name).resolve()


def test_a_folder_without_slides_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no slides here"):
        Listing(tmp_path, lambda: ("", []))


def test_results_that_are_written_again_are_not_mixed_with_those_of_before(out: Path, whole: Path) -> None:
    client, api = admitted(out), f"/api/slides/{whole.name}"
    version = client.get(api).json()["version"]
    column = f"{api}/columns/area_um2?v={version}"
    before = client.get(column).status_code

    (out / whole.name / "run.json").touch()

    assert before == 200
    assert client.get(column).status_code == 404
    assert client.get("/api/slides").json()["slides"][0]["version"] != version


def test_damaged_results_are_an_answer_and_the_list_stands(out: Path, whole: Path) -> None:
    shutil.rmtree(out / whole.name / "labels.ome.zarr")
    client = admitted(out)

    answer = client.get(f"/api/slides/{whole.name}")

    assert answer.status_code == 503
    assert "labels.ome.zarr" in answer.json()["error"]
    assert len(client.get("/api/slides").json()["slides"]) == 1


def tiled(client: TestClient, path: str, width: int, height: int) -> np.ndarray:
    """Plane put together from its tiles, without their margins; a tile without content is zero."""
    whole = np.zeros((height, width, 3), np.uint8)
    for row in range(-(-height // TILE_PX)):
        for col in range(-(-width // TILE_PX)):
            answer = client.get(path.format(col=col, row=row))
            assert answer.status_code in {200, 204}
            if answer.status_code == 200:
                tile = np.asarray(Image.open(io.BytesIO(answer.content)))
                tile = tile[MARGIN_PX:-MARGIN_PX, MARGIN_PX:-MARGIN_PX] if "labels" in path else tile
                y, x = row * TILE_PX, col * TILE_PX
                whole[y : y + TILE_PX, x : x + TILE_PX] = tile[: height - y, : width - x]
    return whole


def test_picture_tiles_are_the_pixels_of_the_slide(client: TestClient, api: str, slide: Path) -> None:
    levels = client.get(api).json()["picture"]["levels"]
    with openslide.OpenSlide(slide) as opened:
        width, height = opened.dimensions
        pixels = np.asarray(opened.read_region((0, 0), 0, opened.dimensions).convert("RGB"))

    shown = tiled(client, f"{api}/picture/{levels - 1}/{{col}}_{{row}}", width, height)
    halves = tiled(client, f"{api}/picture/{levels - 2}/{{col}}_{{row}}", width // 2, height // 2)
    with open_slide(slide) as opened:
        exact = [picture_tile(opened, halvings, 2, 1) for halvings in (0, 1)]

    mean = pixels.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
    np.testing.assert_array_equal(exact[0], pixels[512:1024, 1024:1536])
    np.testing.assert_array_equal(exact[1], np.floor(mean[512:1024, 1024:1536] + 0.5))
    assert np.abs(shown.astype(int) - pixels).mean() < 5  # JPEG
    assert np.abs(halves - mean).mean() < 5
    assert client.get(f"{api}/picture/{levels - 1}/9_0").status_code == 404
    assert client.get(f"{api}/picture/{levels}/0_0").status_code == 404


def test_label_tiles_are_the_stored_labels_at_every_level(client: TestClient, api: str, whole: Path) -> None:
    group = zarr.open_group(whole / "labels.ome.zarr", mode="r")
    sizes = client.get(api).json()["labels"]["levels"]

    for level, (width, height) in enumerate(sizes):
        shown = tiled(client, f"{api}/labels/{level}/{{col}}_{{row}}", width, height).astype(np.int64)
        ids = shown @ [1, 256, 65536]
        np.testing.assert_array_equal(ids, np.asarray(group[f"instances/{level}"]))
    assert len(sizes) == 2
    assert client.get(f"{api}/labels/2/0_0").status_code == 404


def test_a_label_tile_brings_the_neighbours_of_its_last_pixels(client: TestClient, api: str, whole: Path) -> None:
    tile = np.asarray(Image.open(io.BytesIO(client.get(f"{api}/labels/0/1_1").content))).astype(np.int64)

    around = labels_of(whole)[TILE_PX - 1 : 2 * TILE_PX + 1, TILE_PX - 1 : 2 * TILE_PX + 1]
    np.testing.assert_array_equal(tile @ [1, 256, 65536], around)


def test_ids_of_three_bytes_come_through_a_png_without_a_colour_profile() -> None:
    ids = np.array([[0, 1, 255, 256], [65535, 65536, LARGEST_ID - 1, 7]], np.int32)

    picture = Image.open(io.BytesIO(ids_as_png(ids)))

    assert (picture.mode, picture.info) == ("RGB", {})
    np.testing.assert_array_equal(np.asarray(picture).astype(np.int64) @ [1, 256, 65536], ids)


def test_columns_stand_at_their_labels(client: TestClient, api: str, whole: Path) -> None:
    cells = cells_of(whole)
    facts = client.get(api).json()["cells"]

    for name in ("area_um2", "confidence", "centroid_x"):
        column = np.frombuffer(client.get(f"{api}/columns/{name}").content, "<f4")
        np.testing.assert_array_equal(column[cells["label"]], cells[name].astype(np.float32))
        assert np.isnan(np.delete(column, cells["label"])).all()
    codes = np.frombuffer(client.get(f"{api}/columns/class").content, np.uint8)
    names = [one["name"] for one in facts["classes"]]
    assert [names[code] for code in codes[cells["label"]]] == cells["class"].tolist()
    assert {one["column"] for one in facts["measured"]} >= {"area_um2", "hematoxylin_od_mean", "confidence"}
    assert client.get(f"{api}/columns/uuid").status_code == 404


def test_each_outline_comes_with_one_tile(client: TestClient, api: str, whole: Path) -> None:
    found = dict[int, np.ndarray]()
    for col, row in [(col, row) for col in range(3) for row in range(3)]:
        content = client.get(f"{api}/outlines/{col}_{row}").content
        count = int(np.frombuffer(content, "<u4", 1)[0])
        labels = np.frombuffer(content, "<u4", count, 4)
        starts = np.frombuffer(content, "<u4", count + 1, 4 * (1 + count))
        points = np.frombuffer(content, "<f4", offset=4 * (2 + 2 * count)).reshape(-1, 2)
        assert not found.keys() & set(labels.tolist())
        found |= {int(label): points[a:b] for label, a, b in zip(labels, starts, starts[1:], strict=False)}

    cells = cells_of(whole)
    assert sorted(found) == cells["label"].tolist()
    for label, polygon in zip(cells["label"], cells.geometry, strict=True):
        np.testing.assert_allclose(found[label], shapely.get_coordinates(polygon), atol=1e-3)


def test_a_cell_comes_with_its_measurements(client: TestClient, api: str, whole: Path) -> None:
    row = cells_of(whole).iloc[5]

    cell = client.get(f"{api}/cells/{row.label}").json()

    assert (cell["uuid"], cell["class"]) == (row.uuid, row["class"])
    assert cell["area_um2"] == pytest.approx(row.area_um2)
    assert client.get(f"{api}/cells/99999999").status_code == 404


def test_the_page_is_told_whether_refused_cells_are_there(out: Path, whole: Path) -> None:
    path = out / whole.name / "run.json"
    record = json.loads(path.read_bytes())
    record["counts"]["refused"] = {"low_confidence": 3, "dye": 4}
    path.write_text(json.dumps(record))

    refused = admitted(out).get(f"/api/slides/{whole.name}").json()["cells"]["refused"]

    assert refused["kept"] is False
    assert refused["note"].startswith("7 refused cells were not stored")


def test_a_slide_that_was_moved_is_found_in_the_folder_that_is_named(out: Path, whole: Path, slide: Path) -> None:
    path = out / whole.name / "run.json"
    record = json.loads(path.read_bytes())
    record["slide"]["path"] = f"/gone/{slide.name}"
    path.write_text(json.dumps(record))

    lost, found = admitted(out), admitted(out, slides=(slide.parent,))
    facts = [client.get(f"/api/slides/{whole.name}").json() for client in (lost, found)]

    assert [one["picture"]["found"] for one in facts] == [False, True]
    assert "cannot be shown" in facts[0]["warnings"][-1]
    white = Image.open(io.BytesIO(lost.get(f"/api/slides/{whole.name}/picture/0/0_0").content))
    assert np.asarray(white).min() == 255
    picture = Image.open(io.BytesIO(found.get(f"/api/slides/{whole.name}/thumbnail").content))
    assert picture.size == (320, 320)


SQUARE = [[100.0, 200.0], [1700.0, 200.0], [1700.0, 1900.0], [100.0, 1900.0]]


def test_saved_regions_are_what_roi_takes_in_the_frame_of_qupath(out: Path, whole: Path, tmp_path: Path) -> None:
    path = out / whole.name / "run.json"
    record = json.loads(path.read_bytes())
    record["origin_l0"]["qupath"] = [40, 60]  # as if the slide had bounds
    path.write_text(json.dumps(record))
    client, api = admitted(out), f"/api/slides/{whole.name}"

    saved = client.put(f"{api}/regions", json=[{"name": "Tumour", "rings": [SQUARE]}]).json()["file"]
    done = wsipsm("export", out / whole.name, "--to", "csv", "-o", tmp_path / "cells.csv", "--roi", saved)

    (feature,) = json.loads(Path(saved).read_bytes())["features"]
    assert shapely.geometry.shape(feature["geometry"]).bounds == (60, 140, 1660, 1840)
    assert feature["properties"]["objectType"] == "annotation"
    cells = cells_of(whole)
    inside = shapely.contains_xy(shapely.Polygon(SQUARE), cells["centroid_x"], cells["centroid_y"])
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "cells.csv").read_text().splitlines()) - 1 == inside.sum() > 20
    assert client.get(f"{api}/regions").json()[0]["name"] == "Tumour"
    ring = shapely.Polygon(client.get(f"{api}/regions").json()[0]["rings"][0])
    assert ring.equals(shapely.Polygon(SQUARE))


def test_a_region_that_crosses_itself_is_mended_and_the_last_one_takes_the_file_with_it(out: Path, whole: Path) -> None:
    client, api = admitted(out), f"/api/slides/{whole.name}"
    bow = [[0, 0], [100, 100], [100, 0], [0, 100]]

    text = client.post(f"{api}/regions.geojson", json=[{"name": "", "rings": [bow]}]).json()
    client.put(f"{api}/regions", json=[{"name": "", "rings": [bow]}])
    parts = client.get(f"{api}/regions").json()[0]["rings"]
    client.put(f"{api}/regions", json=[])

    assert shapely.geometry.shape(text["features"][0]["geometry"]).area == pytest.approx(5000)
    assert sum(shapely.Polygon(ring).area for ring in parts) == pytest.approx(5000)
    assert not (out / whole.name / "regions.geojson").exists()
    assert client.get(f"{api}/regions").json() == []


@pytest.mark.parametrize(
    "sent",
    [
        [{"name": "a", "rings": [[[0, 0], [1, 1]]]}],
        [{"name": "a", "rings": [[[0, 0], [5, 5], [10, 10]]]}],
        [{"name": "a", "rings": [[[0, 0], [5, "x"], [10, 10]]]}],
        [{"name": "a", "rings": [[[0, 0, 0], [5, 5, 0], [9, 1, 0]]]}],
        [{"name": "a", "rings": []}],
        [{"rings": [SQUARE]}],
        {"type": "FeatureCollection"},
        [7],
        [{"name": "a", "rings": [[[float(i), 0] for i in range(20_001)]]}],
        [{"name": "a", "rings": [SQUARE]}] * 1001,
    ],
)
def test_regions_that_are_none_are_refused_and_nothing_is_written(out: Path, whole: Path, sent: Any) -> None:
    answer = admitted(out).put(f"/api/slides/{whole.name}/regions", json=sent)

    assert answer.status_code == 422
    assert not list((out / whole.name).glob("*regions*"))


def test_a_body_without_end_is_refused(client: TestClient, api: str) -> None:
    assert client.put(f"{api}/regions", content=iter([b"["] * 10)).status_code == 413
    assert client.put(f"{api}/regions", content=b"[" * (9 << 20)).status_code == 413
    assert client.put(f"{api}/regions", content=b"[").status_code == 503
