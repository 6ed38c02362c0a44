"""Imports point down, without cycles, and a third-party library has one home."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import wsipsm

PACKAGE = Path(wsipsm.__file__).parent

# From the top to the bottom; modules of one row do not know each other.
LAYERS = (
    ("__main__", "cli"),
    ("cli_archive", "cli_evaluate", "cli_train"),
    ("doctor", "status"),
    ("pipeline", "paper_inputs"),
    ("progress", "train_progress", "tables", "events", "evaluation"),
    ("archive",),
    ("ledger", "calls"),
    ("export", "finish", "stages", "prepare"),
    ("snapshot", "train", "paper", "marks"),
    ("job",),
    ("recognizer", "order"),
    ("activation", "segmentation", "tiles", "overview", "scratch", "manifest", "tissue_region"),
    ("labels", "nets", "pseudomask", "parquet", "geojson", "tissue", "store", "schedule", "staining"),
    ("cells", "blind_stain", "nucleus_shape", "region"),
    ("stain",),
    ("annotations", "component_tree", "slide", "outlines", "samples", "models"),
    ("stager",),
    ("lock",),
    ("pieces", "provenance", "measurements", "state", "leftovers", "reports", "outputs", "gpus", "own_files"),
    ("config",),
    ("geometry",),
    ("errors",),
    ("__init__",),
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}

HOMES = {
    "zarr": {"store"},
    "dask": {"schedule"},
    "distributed": {"schedule"},
    "dask_jobqueue": {"schedule"},
    "dask_cuda": {"schedule"},
    "dask_kubernetes": {"schedule"},
    "kr8s": {"schedule"},
    "openslide": {"slide"},
    "tiatoolbox": {"slide"},
    "sklearn": {"pseudomask", "paper"},
    "torch": {"activation", "segmentation", "nets", "train", "paper", "gpus"},
    "timm": {"paper"},
    "pyarrow": {"parquet"},
    "geopandas": set(),
    "pydantic": {"config", "paper"},
    "yaml": {"config"},
    "typer": {"cli", "cli_archive", "cli_evaluate", "cli_train"},
    "rich": {"cli", "cli_archive", "cli_evaluate", "cli_train", "progress", "train_progress"},
    "filelock": {"lock"},
}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, inside functions too; ``wsipsm.x`` for ``from wsipsm import x``."""
    return imports_in(ast.parse(path.read_text(encoding="utf-8")))


def imports_in(tree: ast.Module) -> set[str]:
    """As `imports_of`, of parsed text."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"relative import: {ast.unparse(node)}"
            if node.module == "wsipsm":
                found |= {f"wsipsm.{alias.name}" for alias in node.names if not alias.name.startswith("__")}
            else:
                found.add(node.module or "")
    return found


def room_of(path: Path) -> str:
    """First name under the package: a module, or the folder it lies in."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


MODULES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = room_of(path)

    used = {name.split(".")[1] for name in imports_of(path) if name.startswith("wsipsm.")} - {room}

    up = {name for name in used if RANK[name] <= RANK[room]}
    assert not up, f"{room} imports {up}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_library_has_one_home(path: Path) -> None:
    room = room_of(path)

    roots = {name.split(".")[0] for name in imports_of(path)}

    strangers = {root for root in roots if root in HOMES and room not in HOMES[root]}
    assert not strangers, f"{room} imports {strangers}"


def test_every_module_has_a_layer() -> None:
    assert {room_of(path) for path in MODULES} <= set(RANK)
