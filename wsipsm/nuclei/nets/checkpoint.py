"""One file that holds a frozen network: tensors, a JSON table, and what kind of thing it is.

It is a safetensors file, which is read and written without PyTorch; its metadata are one text, as the order of several
would differ from one writing to the next. Files of earlier versions, which PyTorch wrote, are read too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm import __version__
from wsipsm.core.errors import CheckpointError
from wsipsm.core.files import write_bytes

FORMAT = "wsipsm-checkpoint"
"""Key of the metadata in a file."""
FORMAT_VERSION = 2
KINDS = ("encoder", "fit", "segmenter", "segmenter-fit")
"""``encoder``: activation network and frozen constants, for any slide. ``fit``: these and the constants of one slide.
``segmenter``: what `wsipsm train` gives, for any slide. ``segmenter-fit``: this and the constants of one slide."""

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint file.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    table : dict
        JSON-ready: shape of the network, frozen constants, provenance.
    tensors : dict of ndarray
        By name.
    """

    kind: str
    table: dict[str, Any]
    tensors: Arrays


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole or not at all; the same content gives the same bytes.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from safetensors.numpy import save

    about = {"version": FORMAT_VERSION, "wsipsm": __version__, "kind": checkpoint.kind, "table": checkpoint.table}
    tensors = {name: np.asarray(array, order="C") for name, array in checkpoint.tensors.items()}
    write_bytes(path, save(tensors, {FORMAT: json.dumps(about, sort_keys=True)}))


def load_checkpoint(path: Path, *, kinds: Sequence[str] = KINDS) -> Checkpoint:
    """Read a checkpoint; no code in it is run.

    Parameters
    ----------
    path : Path
        File of :func:`save_checkpoint`.
    kinds : sequence of str
        Kinds that are welcome.

    Raises
    ------
    CheckpointError
        Missing, truncated, not a checkpoint, of another kind or of a newer version.
    """
    content = _read(path)
    version, kind = content.get("version"), content.get("kind")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: checkpoint version {version} by wsipsm {content.get('wsipsm')}, "
            f"expected at most {FORMAT_VERSION}: update wsipsm"
        )
    if kind not in kinds:
        raise CheckpointError(f"{path}: a checkpoint of kind {kind!r}, expected {' or '.join(map(repr, kinds))}")
    try:
        return Checkpoint(str(kind), dict(content["table"]), dict(content["tensors"]))
    except (KeyError, TypeError, ValueError):
        raise _damaged(path) from None


def _read(path: Path) -> dict[str, Any]:
    """What a file says of itself, and its tensors."""
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file, expected a checkpoint (model, encoder or calibration, .safetensors)"
        )
    try:
        with path.open("rb") as file:
            start = file.read(9)
        if start[:2] == b"PK":
            from wsipsm.nuclei.nets.earlier import read_earlier

            return read_earlier(path)
        return _parsed(path, begins_well=start[8:] == b"{")  # after the length of its header
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None


def _parsed(path: Path, *, begins_well: bool) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            about = (file.metadata() or {}).get(FORMAT)
            if about is None:
                raise _not_one(path)
            names = file.keys()
            return dict(json.loads(about)) | {"tensors": {name: file.get_tensor(name) for name in names}}
    except SafetensorError:
        raise _truncated(path) if begins_well else _not_one(path) from None
    except (TypeError, ValueError):  # a TypeError is also of numbers that NumPy does not have
        raise _damaged(path) from None


def _not_one(path: Path) -> CheckpointError:
    return CheckpointError(f"{path}: not a wsipsm checkpoint, expected one written by wsipsm")


def _damaged(path: Path) -> CheckpointError:
    return CheckpointError(f"{path}: a damaged wsipsm checkpoint, expected a table and tensors: write it again")


def _truncated(path: Path) -> CheckpointError:
    return CheckpointError(f"{path}: truncated checkpoint, expected a whole file: copy it again")
