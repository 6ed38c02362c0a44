"""Imports point down, without cycles, and a third-party library has one home."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.imports import MODULES, PACKAGE, imports_of, place_of

# From the top to the bottom; rooms of one row do not know each other.
LAYERS = (
    ("__init__", "cli"),
    ("api",),
    ("engine", "training", "evaluation"),
    ("results",),
    ("nuclei", "tissue"),
    ("cells",),
    ("stain", "config", "slide"),
    ("core",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

HOMES = {
    "zarr": {"results", "slide/readers"},
    "tifffile": {"slide/readers", "results/formats"},
    "imagecodecs": {"engine/maps", "slide/readers"},
    "dask": {"engine/cluster"},
    "distributed": {"engine/cluster"},
    "dask_jobqueue": {"engine/cluster"},
    "dask_cuda": {"engine/cluster"},
    "dask_kubernetes": {"engine/cluster"},
    "kr8s": {"engine/cluster"},
    "openslide": {"slide/readers"},
    "tiatoolbox": {"slide"},
    "sklearn": {"nuclei/pseudomask", "results/phenotypes/learn", "training/paper"},
    "llvmlite": {"nuclei/nets/vectors"},
    "numba": {"core/compiled", "nuclei/nets/vectors"},
    "torch": {"core/gpus", "nuclei", "training"},
    "timm": {"training/paper"},
    "pyarrow": {"results", "slide/manifest"},
    "geopandas": {"results/result", "results/formats/spatial_data"},
    "pydantic": {"config", "engine/job", "results/phenotypes", "training/paper"},
    "yaml": {"config"},
    "starlette": {"results/viewer"},
    "uvicorn": {"results/viewer"},
    "typer": {"cli"},
    "rich": {"cli"},
    "filelock": {"core/lock"},
    "spatialdata": {"results/formats/spatial_data"},
    "anndata": {"results/formats/spatial_data"},
    "highdicom": {"results/formats/dicom_annotations"},
    "h5py": {"evaluation/point_files"},
}


@pytest.mark.parametrize("path", MODULES, ids=place_of)
def test_imports_point_down(path: Path) -> None:
    room = place_of(path).split("/")[0]

    used = {name.split(".")[1] for name in imports_of(path) if name.startswith("wsipsm.")} - {room}

    up = {name for name in used if RANK[name] <= RANK[room]}
    assert not up, f"{room} imports {up}"


@pytest.mark.parametrize("path", MODULES, ids=place_of)
def test_a_library_has_one_home(path: Path) -> None:
    place = place_of(path)

    roots = {name.split(".")[0] for name in imports_of(path)} & HOMES.keys()

    strangers = {root for root in roots if not any(f"{place}/".startswith(f"{home}/") for home in HOMES[root])}
    assert not strangers, f"{place} imports {strangers}"


def test_every_room_has_a_row() -> None:
    assert {place_of(path).split("/")[0] for path in MODULES} <= set(RANK)


def test_no_two_modules_import_each_other() -> None:
    names = {f"wsipsm.{place_of(path).replace('/', '.')}": path for path in MODULES if path.parent != PACKAGE}
    graph = {name: {used for used in imports_of(path) if used in names} for name, path in names.items()}
    while leaves := {name for name, used in graph.items() if not used & graph.keys()}:
        for name in leaves:
            del graph[name]
    assert not graph, f"a circle among {sorted(graph)}"
