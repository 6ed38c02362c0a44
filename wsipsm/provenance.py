"""What a result came from: hashes, versions, and files written whole or not at all."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import platform
import uuid
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import orjson

from wsipsm import __version__
from wsipsm.config import Config
from wsipsm.errors import OutputError

PACKAGES = ("dask", "distributed", "numpy", "openslide-python", "scikit-learn", "shapely", "torch", "zarr")
"""Packages whose versions are recorded with a run."""


def result_hash(config: Config, **inputs: Any) -> str:
    """Sixteen hexadecimal digits that change when the scratch of a run could.

    Parameters
    ----------
    config : Config
        Its ``schedule`` and ``output`` sections and the order of tiles are left out: no scratch depends on them.
    **inputs
        JSON-ready facts: the slide's fingerprint, a resolution override, the region, an encoder's hash.
    """
    table = config.model_dump(mode="json", exclude={"schedule": True, "output": True, "tiles": {"order"}})
    content = orjson.dumps({"version": __version__, "config": table, **inputs}, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(content).hexdigest()[:16]


def file_hash(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def versions() -> dict[str, str]:
    """Versions of wsipsm, Python, the platform and the packages that numbers depend on."""
    found = {name: metadata.version(name) for name in PACKAGES}
    return {"wsipsm": __version__, "python": platform.python_version(), "platform": platform.platform(), **found}


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    OutputError
        The folder is missing, full or not writable.
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def write_json(path: Path, table: Mapping[str, Any]) -> None:
    """Write indented JSON whole or not at all."""
    write_bytes(path, orjson.dumps(table, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_csv(path: Path, columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a table whole or not at all."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(columns), lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, text.getvalue().encode())


def make_folder(path: Path) -> Path:
    """Create a folder with its parents and prove that it can be written.

    Raises
    ------
    OutputError
        It cannot be created or written, or a file stands there.
    """
    probe = path / f".wsipsm-{uuid.uuid4().hex[:8]}"
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OutputError(f"{path}: the output folder cannot be written: {error.strerror}") from None
    return path
