"""Notebooks: each runs in a fresh kernel, and what is committed is whole, small and of no machine in particular."""

from __future__ import annotations

import ast
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import wsipsm
from tests.helpers.imports import imports_in

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MAX_BYTES = 400_000
ALLOWED = {"wsipsm", "wsipsm.slide.sample"}

of_each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def markdown(notebook: Any) -> str:
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def tree(notebook: Any) -> ast.Module:
    return ast.parse("\n".join(cell.source for cell in code_cells(notebook)))


def kinds(cell: Any) -> set[str]:
    """What a cell put out: names of streams, media types of results, errors."""
    found: set[str] = set()
    for output in cell.outputs:
        found |= {output.name} if output.output_type == "stream" else set(output.get("data", [output.output_type]))
    return found


def texts(notebook: Any) -> list[str]:
    """Everything a reader sees, pictures aside."""
    shown = [cell.source for cell in notebook.cells]
    for output in (output for cell in code_cells(notebook) for output in cell.outputs):
        data = output.get("data", {})
        shown += [output.get("text", "")] + [data[kind] for kind in data if not kind.startswith("image/")]
    return shown


def test_there_are_six_and_the_readme_lists_them() -> None:
    listed = re.findall(r"\]\((\w+)\.ipynb\)", (FOLDER / "README.md").read_text(encoding="utf-8"))

    assert listed == [path.stem for path in NOTEBOOKS]
    assert [name[:2] for name in listed] == ["01", "02", "03", "04", "05", "06"]


@of_each
def test_it_runs_in_a_fresh_kernel_and_puts_out_what_is_committed(path: Path, tmp_path: Path) -> None:
    notebook = read(path)
    committed = [kinds(cell) for cell in code_cells(notebook)]

    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()

    assert [kinds(cell) for cell in code_cells(notebook)] == committed
    assert [found.name for found in tmp_path.iterdir()] == ["out"], "files go to one folder"


@of_each
def test_it_was_run_from_top_to_bottom_before_it_was_committed(path: Path) -> None:
    cells = code_cells(read(path))

    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not any({"error", "stderr"} & kinds(cell) for cell in cells)
    assert any("image/jpeg" in kinds(cell) for cell in cells), "a picture says more"


@of_each
def test_it_is_small_and_names_no_place_of_a_machine(path: Path) -> None:
    assert path.stat().st_size < MAX_BYTES
    for text in texts(read(path)):
        assert not re.search(r"(?<![\w.])/(home|root|tmp|usr|work|var|opt|mnt|Users)/", text), text


@of_each
def test_it_uses_the_public_interface_alone(path: Path) -> None:
    code = tree(read(path))

    own = {node.module for node in ast.walk(code) if isinstance(node, ast.ImportFrom)} | imports_in(code)
    assert {name for name in own if name and name.split(".")[0] == "wsipsm"} <= ALLOWED
    names = {
        node.attr
        for node in ast.walk(code)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "wsipsm"
    }
    assert names
    assert names <= set(wsipsm.__all__)


@of_each
def test_the_extra_brings_what_it_imports(path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    texts = project["dependencies"] + project["optional-dependencies"]["notebooks"]
    brought = {canonicalize_name(name) for one in map(Requirement, texts) for name in (one.name, *one.extras)}
    modules = {name.split(".")[0] for name in imports_in(tree(read(path)))} - {"wsipsm"}

    missing = {
        module: names
        for module, names in packages_distributions().items()
        if module in modules and not {canonicalize_name(name) for name in names} & brought
    }

    assert not missing


@of_each
def test_what_it_says_of_other_files_and_of_code_is_true(path: Path) -> None:
    said = markdown(read(path))

    for name in re.findall(r"`(0\d_\w+)`", said):
        assert (FOLDER / f"{name}.ipynb").is_file(), name
    for name in re.findall(r"`(docs/[\w.]+)`", said):
        assert (ROOT / name).is_file(), name
    for block in re.findall(r"```python\n(.*?)```", said, re.DOTALL):
        ast.parse(block)
