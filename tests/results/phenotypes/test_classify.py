"""``wsipsm classify`` on two real slides: fits and applications."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image as PillowImage
from scipy.stats import median_abs_deviation

import wsipsm
from tests.helpers.classified import classes, contents, features, record, table, with_class
from tests.helpers.command import wsipsm as command
from tests.helpers.results import labels_of
from wsipsm.cells.classes import CLASSES
from wsipsm.core.errors import ConfigError, FitError, OutputError
from wsipsm.results.phenotypes.slides import StoredSlide

SHAPES = ["area_um2", "perimeter_um", "eccentricity", "solidity"]
STAINS = ["hematoxylin_od_mean", "eosin_od_mean"]


def scaled(cells: pd.DataFrame, model: dict[str, Any]) -> np.ndarray[Any, Any]:
    """Features as the documentation says, by pandas and SciPy."""
    straight = pd.DataFrame(
        {
            "area_um2": np.log(cells["area_um2"].astype(float)),
            "perimeter_um": np.log(cells["perimeter_um"].astype(float)),
            "eccentricity": np.log(1 / np.sqrt((1 - cells["eccentricity"].astype(float) ** 2).clip(1e-4))),
            "solidity": np.log((1 - cells["solidity"].astype(float)).clip(0) + 0.01),
            **{name: cells[name].astype(float) for name in STAINS},
        }
    )
    for name in SHAPES:
        center, spread = model["shape_scales"][name]
        straight[name] = (straight[name] - center) / spread
    for name in STAINS:
        away = straight[name] - straight[name].median()
        straight[name] = away / (1.4826 * median_abs_deviation(straight[name]))
    return straight[model["columns"]].clip(-3, 3).to_numpy()


def test_a_fit_leaves_the_results_alone_and_is_the_same_again(done: Path, model: Path, tmp_path: Path) -> None:
    before = contents(done)

    report = wsipsm.classify(done, fit=tmp_path / "again.json", clusters=4)

    assert contents(done) == before
    assert (tmp_path / "again.json").read_bytes() == model.read_bytes()
    found = json.loads(model.read_bytes())
    cells = [len(table(done / name)) for name in "ab"]
    assert sum(one["cells"] for one in found["clusters"]) == sum(cells)
    assert {one["name"]: one["drawn"] for one in found["slides"]} == dict(zip("ab", cells, strict=True))
    assert {one["fingerprint"] for one in found["slides"]} == {
        record(done / name)["slide"]["fingerprint"] for name in "ab"
    }
    sizes = [one["cells"] for one in report["clusters"]]
    assert sizes == sorted(sizes, reverse=True)
    with PillowImage.open(report["montage"]) as picture:
        assert picture.width > 1000


def test_other_names_of_folders_give_the_same_clusters(model: Path, out: Path, tmp_path: Path) -> None:
    (out / "a").rename(out / "z")

    wsipsm.classify(out, fit=tmp_path / "model.json", clusters=4)

    expected = json.loads(model.read_bytes())
    assert json.loads((tmp_path / "model.json").read_bytes())["clusters"] == expected["clusters"]


@pytest.mark.parametrize("method", ["kmeans", "gmm"])
def test_cells_get_the_cluster_that_the_documentation_says(out: Path, tmp_path: Path, method: Any) -> None:
    path = tmp_path / "model.json"
    wsipsm.classify(out, fit=path, clusters=4, method=method)

    report = wsipsm.classify(out, apply=path)

    found = json.loads(path.read_bytes())
    for name in "ab":
        cells = table(out / name)
        away = [scaled(cells, found) - one["center"] for one in found["clusters"]]
        if method == "gmm":
            factors = [np.array(one["precision_cholesky"]) for one in found["clusters"]]
            costs = [
                np.einsum("ni,ij,nj->n", diff, factor @ factor.T, diff)
                - np.linalg.slogdet(factor @ factor.T)[1]
                - 2 * np.log(one["weight"])
                for diff, factor, one in zip(away, factors, found["clusters"], strict=True)
            ]
        else:
            costs = [(diff**2).sum(1) for diff in away]
        expected = [f"Cluster {number + 1}" for number in np.argmin(costs, axis=0)]
        assert cells["class"].tolist() == expected
    counted = pd.concat([table(out / name) for name in "ab"])["class"].value_counts().to_dict()
    assert {one["name"]: one["cells"] for one in report["clusters"] if one["cells"]} == counted


def test_every_output_says_the_same(done: Path, model: Path, applied: Path) -> None:
    for name in "ab":
        cells, before = table(applied / name), table(done / name)
        colors = dict(zip(CLASSES.names, map(list, CLASSES.colors), strict=True))
        said = {one["id"]: one["properties"]["classification"] for one in features(applied / name)}
        assert {key: one["name"] for key, one in said.items()} == classes(applied / name)
        assert all(one["color"] == colors[one["name"]] for one in said.values())
        assert record(applied / name)["counts"]["by_class"] == cells["class"].value_counts().to_dict()
        entry = record(applied / name)["classify"]
        assert (entry["model"], entry["model_sha256"]) == ("model.json", hashlib.sha256(model.read_bytes()).hexdigest())
        pd.testing.assert_frame_equal(cells.drop(columns=["class", "class_of_run"]), before.drop(columns=["class"]))
        assert cells["class_of_run"].tolist() == before["class"].tolist()
        np.testing.assert_array_equal(labels_of(applied / name), labels_of(done / name))
        assert not list((applied / name).glob(".*"))
    assert (applied / "classify-montage.png").is_file()


def test_a_cell_gets_the_same_cluster_alone_and_together(out: Path, model: Path, applied: Path) -> None:
    shutil.rmtree(out / "b")

    wsipsm.classify(out, apply=model)

    assert classes(out / "a") == classes(applied / "a")


def test_one_slide_of_a_folder_is_classified_by_its_own_folder(out: Path, model: Path, applied: Path) -> None:
    before = classes(out / "a")

    wsipsm.classify(out / "b", apply=model)

    assert classes(out / "b") == classes(applied / "b")
    assert classes(out / "a") == before


def test_a_slide_that_is_stained_otherwise_gets_the_same_clusters(out: Path, model: Path, applied: Path) -> None:
    """Its densities are another linear function of the same tissue; nearly all cells keep their cluster."""
    path = out / "a" / "cells.parquet"
    stored = pq.read_table(path)
    for name, gain, shift in (("hematoxylin_od_mean", 1.7, 0.1), ("eosin_od_mean", 0.6, -0.05)):
        values = pa.array((stored[name].to_numpy() * gain + shift).astype(np.float32))
        stored = stored.set_column(stored.column_names.index(name), stored.schema.field(name), values)
    pq.write_table(stored, path)

    wsipsm.classify(out, apply=model)

    found, expected = classes(out / "a"), classes(applied / "a")
    assert np.mean([found[key] == expected[key] for key in expected]) > 0.995


def test_row_groups_do_not_matter(out: Path, model: Path, applied: Path) -> None:
    path = out / "a" / "cells.parquet"
    pq.write_table(pq.read_table(path), path, row_group_size=7)

    wsipsm.classify(out, apply=model)

    assert pq.ParquetFile(path).num_row_groups > 10
    assert classes(out / "a") == classes(applied / "a")


def test_the_table_stays_geoparquet(applied: Path, done: Path) -> None:
    assert len(geopandas.read_parquet(applied / "a" / "cells.parquet")) == len(table(done / "a"))
    found, before = (pq.ParquetFile(out / "a" / "cells.parquet") for out in (applied, done))

    assert json.loads(found.metadata.metadata[b"geo"]) == json.loads(before.metadata.metadata[b"geo"])
    assert found.schema_arrow.names == [*before.schema_arrow.names, "class_of_run"]


def test_doubtful_cells_stay_doubtful_and_scale_nothing(out: Path, model: Path) -> None:
    with_class(out / "a", 6, "Doubtful")
    path = out / "a" / "cells.parquet"
    stored = pq.read_table(path)
    odd = np.where(np.arange(len(stored)) < 6, 1e6, stored["eosin_od_mean"].to_numpy()).astype(np.float32)
    at = stored.column_names.index("eosin_od_mean")
    pq.write_table(stored.set_column(at, stored.schema.field("eosin_od_mean"), pa.array(odd)), path)

    wsipsm.classify(out, apply=model)

    found = table(out / "a")
    assert found["class"].tolist()[:6] == ["Doubtful"] * 6
    assert found["class"][6:].str.startswith("Cluster ").all()
    assert record(out / "a")["counts"]["by_class"]["Doubtful"] == 6
    center, _ = record(out / "a")["classify"]["stain_scales"]["eosin_od_mean"]
    assert center == pytest.approx(np.median(odd[6:]))
    fitted = wsipsm.classify(out, fit=out / "new.json", clusters=3)
    assert {one["name"]: one["cells"] for one in fitted["slides"]}["a"] == len(found) - 6


def test_slides_of_two_stains_are_not_fitted_together(out: Path, tmp_path: Path) -> None:
    path = out / "a" / "cells.parquet"
    stored = pq.read_table(path)
    renamed = [{"eosin_od_mean": "dab_od_mean"}.get(name, name) for name in stored.column_names]
    pq.write_table(stored.rename_columns(renamed), path)

    with pytest.raises(FitError, match="slides of one stain"):
        wsipsm.classify(out, fit=tmp_path / "model.json")

    assert not (tmp_path / "model.json").exists()


def test_without_cells_nothing_is_fitted_and_nothing_breaks(out: Path, model: Path, tmp_path: Path) -> None:
    for name in "ab":
        path = out / name / "cells.parquet"
        pq.write_table(pq.read_table(path).slice(0, 0 if name == "a" else 3), path)

    with pytest.raises(FitError, match="3 different cells are too few for 4 clusters"):
        wsipsm.classify(out, fit=tmp_path / "model.json", clusters=4)
    report = wsipsm.classify(out, apply=model)
    assert [sum(one["by_class"].values()) for one in report["slides"]] == [0, 3]
    shutil.rmtree(out / "b")
    with pytest.raises(FitError, match="no cells"):
        wsipsm.classify(out, fit=tmp_path / "model.json")


def test_mistakes_are_named(out: Path, model: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="never replaced"):
        wsipsm.classify(out, fit=model)
    with pytest.raises(ConfigError, match="21 clusters: expected 2 to 20"):
        wsipsm.classify(out, fit=tmp_path / "m.json", clusters=21)
    with pytest.raises(ConfigError, match="kmeans or gmm"):
        wsipsm.classify(out, fit=tmp_path / "m.json", method="dbscan")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="expected one of"):
        wsipsm.classify(out, fit=tmp_path / "m.json", undo=True)
    with pytest.raises(OutputError, match="no slide has results"):
        wsipsm.classify(tmp_path, apply=model)


def test_the_command_says_what_it_did(out: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.json"

    fitted = command("classify", out, "--fit", path, "--clusters", "3", "--method", "gmm", "--seed", "1")
    given = command("classify", out, "--apply", path)
    as_json = command("classify", out, "--apply", path, "--json")
    undone = command("classify", out, "--undo")
    both = command("classify", out, "--apply", path, "--undo")

    assert (fitted.returncode, given.returncode, undone.returncode) == (0, 0, 0)
    assert "Cluster 3" in fitted.stdout
    assert f"wsipsm classify {out} --apply {path}" in fitted.stdout
    assert (tmp_path / "model.png").is_file()
    report = json.loads(as_json.stdout)
    assert sum(one["share"] for one in report["clusters"]) == pytest.approx(1)
    assert "Nucleus" in undone.stdout
    assert not os.path.exists(out / "classify-montage.png")
    assert both.returncode == 1
    assert "expected one of --fit MODEL, --apply MODEL and --undo" in both.stderr


def test_cells_are_drawn_by_slide_and_seed(done: Path) -> None:
    slide, every = StoredSlide(done / "a", record(done / "a")), table(done / "a").set_index("label")

    drawn = {seed: slide.drawn(50, seed=seed) for seed in (0, 1)}

    for cells in drawn.values():
        assert len(set(cells["label"].tolist())) == 50
        np.testing.assert_array_equal(every.loc[cells["label"], "area_um2"], cells["area_um2"])
    assert set(drawn[0]["label"].tolist()) != set(drawn[1]["label"].tolist())
    np.testing.assert_array_equal(slide.drawn(50, seed=0)["label"], drawn[0]["label"])
    assert len(slide.drawn(10**6, seed=0)["label"]) == len(every)
