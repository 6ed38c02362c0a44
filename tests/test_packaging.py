"""What the package imports, what pyproject.toml says that it needs, and what the lock file installs, agree."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.helpers.imports import MODULES, PACKAGE, imports_in

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
LOCK = (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")

WITHOUT_IMPORT = {"openslide-bin"}
"""Regular dependencies that hold no Python: the C library under openslide-python."""
OWN_MODULES = {file.stem for folder in ("tests", "benchmarks") for file in (ROOT / folder).rglob("*.py")} | {
    "wsipsm",
    "tests",
    "benchmarks",
}


def requirements(texts: list[str]) -> Iterator[Requirement]:
    """Requirements, with those of our own extras in the place of ``wsipsm[extra]``."""
    for text in texts:
        found = Requirement(text)
        if found.name == "wsipsm":
            for extra in found.extras:
                yield from requirements(EXTRAS[extra])
        else:
            yield found


def names(texts: list[str]) -> set[str]:
    """Distributions that requirements ask for; ``dask[distributed]`` asks for two."""
    found = list(requirements(texts))
    return {canonicalize_name(name) for one in found for name in (one.name, *one.extras)}


DISTRIBUTIONS = packages_distributions()
REGULAR = names(PROJECT["dependencies"])
OPTIONAL = {name for extra, texts in EXTRAS.items() if extra != "dev" for name in names(texts)}
DEV = names(EXTRAS["dev"])


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def distributions_of(tree: ast.Module) -> Iterator[set[str]]:
    """For each third-party module that a file imports, the distributions that may bring it."""
    for root in {name.split(".")[0] for name in imports_in(tree)} - sys.stdlib_module_names - OWN_MODULES:
        yield {canonicalize_name(name) for name in DISTRIBUTIONS.get(root, [root])}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_what_the_package_imports_is_a_dependency_or_an_extra(path: Path) -> None:
    undeclared = [found for found in distributions_of(parsed(path)) if not found & (REGULAR | OPTIONAL)]

    assert not undeclared


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_an_extra_is_imported_where_its_absence_is_explained(path: Path) -> None:
    tree = parsed(path)
    for node in ast.walk(tree):
        if isinstance(node, ast.Try) and "ExtraError" in "".join(map(ast.unparse, node.handlers)):
            node.body = [ast.Pass()]
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]

    optional = [found for found in distributions_of(tree) if not found & REGULAR]

    assert not optional, "raise ExtraError where these are missing"


def test_no_regular_dependency_is_left_unused() -> None:
    used = {name for path in MODULES for found in distributions_of(parsed(path)) for name in found}

    assert REGULAR - used == WITHOUT_IMPORT


@pytest.mark.parametrize("folder", ["tests", "benchmarks"])
def test_what_tests_and_benchmarks_import_is_installed_for_development(folder: str) -> None:
    undeclared = [
        found
        for path in (ROOT / folder).rglob("*.py")
        for found in distributions_of(parsed(path))
        if not found & (REGULAR | DEV)
    ]

    assert not undeclared


def test_the_lock_file_fits_the_ranges() -> None:
    pins: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^ ;\\]+)", LOCK, re.MULTILINE):
        pins.setdefault(canonicalize_name(name), []).append(version)

    for one in requirements([*PROJECT["dependencies"], *EXTRAS["dev"]]):
        versions = pins.get(canonicalize_name(one.name), [])
        assert versions, f"{one.name} is not locked: make lock"
        assert all(one.specifier.contains(version) for version in versions), f"{one} and {versions}: make lock"


def test_the_lock_file_names_no_index() -> None:
    pins = re.findall(r"^[\w.-]+==", LOCK, re.MULTILINE)
    hashed = re.findall(r"^[\w.-]+==.*\\\n +--hash=sha256:", LOCK, re.MULTILINE)

    assert "://" not in LOCK
    assert "file:" not in LOCK
    assert len(pins) == len(hashed) > 0
