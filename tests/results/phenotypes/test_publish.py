"""What undoing, a kill, a later run and a run at work make of classified slides."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import wsipsm
from tests.helpers.classified import QUICK, classes, contents, features, record, table
from tests.helpers.pages import Page
from tests.helpers.qupath import read_as_qupath
from wsipsm.core.errors import CheckpointError, LockedError, OutputError
from wsipsm.core.lock import locked_trees
from wsipsm.results.validate.geojson import check_geojson
from wsipsm.slide.sample import HE_FIELD_MPP


def test_undo_brings_everything_back(done: Path, out: Path, model: Path) -> None:
    before = contents(out)
    wsipsm.classify(out, apply=model)
    wsipsm.classify(out, apply=model)

    report = wsipsm.classify(out, undo=True)

    assert contents(out) == before
    for name in "ab":
        stored, original = (pq.read_table(folder / name / "cells.parquet") for folder in (out, done))
        assert stored.equals(original)
    assert [one["by_class"] for one in report["slides"]] == [record(done / name)["counts"]["by_class"] for name in "ab"]
    with pytest.raises(OutputError, match="no slide has clusters"):
        wsipsm.classify(out, undo=True)


def test_reports_show_the_clusters_and_the_first_ones_come_back(out: Path, model: Path) -> None:
    paths = [out / "a" / "report.html", out / "report.html"]
    before = [path.read_bytes() for path in paths]

    wsipsm.classify(out, apply=model)

    counts = table(out / "a")["class"].value_counts()
    page, whole = (Page(path) for path in paths)
    assert {row[0]: row[1] for row in page.tables["Cells by class"][1:-1]} == {
        name: f"{count:,}" for name, count in counts.items()
    }
    assert "Cluster 1" in {row[0] for row in whole.tables["Cells by class, all slides"]}
    wsipsm.classify(out, undo=True)
    assert [path.read_bytes() for path in paths] == before


def test_the_clusters_pass_the_rules_of_qupath(applied: Path) -> None:
    for name in "ab":
        path = applied / name / "cells.geojson.gz"
        found = {feature["properties"]["classification"]["name"] for feature in read_as_qupath(path)}
        assert found <= {f"Cluster {number}" for number in range(1, 5)}
        assert check_geojson(path).findings == {}


def test_a_later_run_keeps_the_clusters(slides: list[Path], out: Path, model: Path, applied: Path) -> None:
    wsipsm.classify(out, apply=model)

    wsipsm.run(slides, out, slide_mpp=HE_FIELD_MPP, settings=QUICK)
    assert classes(out / "a") == classes(applied / "a")

    wsipsm.run(slides, out, slide_mpp=HE_FIELD_MPP, settings=[*QUICK, "output.objects=points"])
    found = features(out / "a")
    assert {one["geometry"]["type"] for one in found} == {"Point"}
    assert {one["id"]: one["properties"]["classification"]["name"] for one in found} == classes(applied / "a")
    assert record(out / "a")["counts"] == record(applied / "a")["counts"]
    assert record(out / "a")["classify"]["model"] == "model.json"


def test_a_run_that_finds_other_cells_drops_the_clusters(slides: list[Path], out: Path, model: Path) -> None:
    wsipsm.classify(out, apply=model)

    wsipsm.run(slides[0], out, slide_mpp=HE_FIELD_MPP, settings=[*QUICK, "cells.min_area_um2=20"])

    assert set(classes(out / "a").values()) == {"Nucleus"}
    assert "classify" not in record(out / "a")
    assert "class_of_run" not in table(out / "a")
    wsipsm.classify(out, apply=model)
    assert set(record(out / "a")["counts"]["by_class"]) <= {f"Cluster {number}" for number in range(1, 5)}


KILLED = """
import os, signal, sys
from pathlib import Path
import wsipsm
folder, model, moves = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

def watch(event, args):
    global moves
    if event == "os.rename" and Path(os.fsdecode(args[1])).parent == folder / "a":
        moves -= 1
        if moves == 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
wsipsm.classify(folder, apply=model)
"""
"""Applies a model and is killed before it gives the n-th file of the first slide its final name."""


@pytest.mark.parametrize("moves", [1, 2, 3, 4])
def test_a_kill_at_any_step_leaves_whole_files_and_a_way_on(
    slides: list[Path], out: Path, model: Path, applied: Path, moves: int
) -> None:
    code = [sys.executable, "-c", KILLED, str(out), str(model), str(moves)]
    assert subprocess.run(code, check=False, timeout=120).returncode == -signal.SIGKILL
    found = table(out / "a")
    assert len(found) == len(table(applied / "a")), "whole, before or after"
    shutil.copytree(out, out.parent / "run_after")

    wsipsm.classify(out, apply=model)
    wsipsm.run(slides[0], out.parent / "run_after", slide_mpp=HE_FIELD_MPP, settings=QUICK)

    assert classes(out / "a") == classes(applied / "a")
    assert features(out / "a") == features(applied / "a")
    assert not list((out / "a").glob(".draft*"))
    after = out.parent / "run_after" / "a"
    said = {one["id"]: one["properties"]["classification"]["name"] for one in features(after)}
    assert said == classes(after) == dict(zip(found["uuid"], found["class"], strict=True))
    assert record(after)["counts"]["by_class"] == found["class"].value_counts().to_dict()
    assert not list(after.glob(".draft*"))


def test_a_slide_that_is_gone_is_left_out_of_the_montage(out: Path, model: Path) -> None:
    path = out / "a" / "run.json"
    found = record(out / "a")
    path.write_text(json.dumps(found | {"slide": found["slide"] | {"path": str(out / "gone.png")}}))

    report = wsipsm.classify(out, apply=model)

    (note,) = report["notes"]
    assert "cells of a are not in the montage" in note
    assert "gone.png" in note
    assert Path(report["montage"]).is_file()


def test_a_run_at_work_is_not_disturbed(out: Path, model: Path) -> None:
    with locked_trees([out]), pytest.raises(LockedError, match="another run"):
        wsipsm.classify(out, apply=model)
    with locked_trees([out]), pytest.raises(LockedError, match="another run"):
        wsipsm.classify(out / "a", undo=True)


def test_a_model_of_other_columns_changes_nothing(out: Path, model: Path, tmp_path: Path) -> None:
    text = model.read_text().replace("hematoxylin_od_mean", "stain_1_od_mean")
    (tmp_path / "other.json").write_text(text)
    before = contents(out)

    with pytest.raises(CheckpointError, match="lacks stain_1_od_mean"):
        wsipsm.classify(out, apply=tmp_path / "other.json")

    assert contents(out) == before
