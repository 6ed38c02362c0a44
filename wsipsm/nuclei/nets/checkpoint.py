"""One file that holds a frozen network: tensors, a JSON table, and what kind of thing it is."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wsipsm import __version__
from wsipsm.core.errors import CheckpointError
from wsipsm.core.files import write_bytes

FORMAT = "wsipsm-checkpoint"
FORMAT_VERSION = 1
KINDS = ("encoder", "fit", "segmenter", "segmenter-fit")
"""``encoder``: activation network and frozen constants, for any slide. ``fit``: these and the constants of one slide.
``segmenter``: what `wsipsm train` gives, for any slide. ``segmenter-fit``: this and the constants of one slide."""


@dataclass(frozen=True)
class Checkpoint:
    """Content of a checkpoint file.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    table : dict
        JSON-ready: shape of the network, frozen constants, provenance.
    tensors : dict of Tensor
        On the CPU.
    """

    kind: str
    table: dict[str, Any]
    tensors: dict[str, Tensor]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole or not at all; the same content gives the same bytes.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    buffer = io.BytesIO()
    content = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "wsipsm": __version__,
        "kind": checkpoint.kind,
        "table": json.dumps(checkpoint.table, sort_keys=True),
        "tensors": checkpoint.tensors,
    }
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


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
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path}: not a wsipsm checkpoint, expected one written by wsipsm")
    version, kind = content.get("version"), content.get("kind")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: checkpoint version {version} by wsipsm {content.get('wsipsm')}, "
            f"expected at most {FORMAT_VERSION}: update wsipsm"
        )
    if kind not in kinds:
        raise CheckpointError(f"{path}: a checkpoint of kind {kind!r}, expected {' or '.join(map(repr, kinds))}")
    try:
        return Checkpoint(str(kind), dict(json.loads(content["table"])), dict(content["tensors"]))
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"{path}: a damaged wsipsm checkpoint, expected a table and tensors: write it again"
        ) from None


def load_tensors(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Fill a module; every tensor must be there, fit and be finite.

    Raises
    ------
    CheckpointError
        A tensor is missing, left over, of another shape, or not finite.
    """
    try:
        module.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"the checkpoint's tensors do not fit its network: {reason}") from None
    if not all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values()):
        raise CheckpointError("the checkpoint's tensors are not all finite: make it again")


def _read(path: Path) -> Any:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file, expected a checkpoint (model.pt, encoder.pt or calibration.pt)")
    try:
        with path.open("rb") as file:
            is_zip = file.read(2) == b"PK"
        if not is_zip:
            raise CheckpointError(f"{path}: not a wsipsm checkpoint, expected one written by wsipsm")
        if not zipfile.is_zipfile(path):
            raise CheckpointError(f"{path}: truncated checkpoint, expected a whole file: copy it again")
        return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read: {error.strerror}") from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError):
        raise CheckpointError(f"{path}: not a wsipsm checkpoint, expected one written by wsipsm") from None
