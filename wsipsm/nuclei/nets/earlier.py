"""Checkpoints of earlier versions, which PyTorch wrote."""

from __future__ import annotations

import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from wsipsm.core.errors import CheckpointError

_FORMAT = "wsipsm-checkpoint"


def read_earlier(path: Path) -> dict[str, Any]:
    """What a file of PyTorch says of itself, and its tensors; no code in it is run.

    Raises
    ------
    CheckpointError
        It is truncated, or no checkpoint.
    """
    if not zipfile.is_zipfile(path):
        raise CheckpointError(f"{path}: truncated checkpoint, expected a whole file: copy it again")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError):
        content = None
    if not isinstance(content, dict) or content.get("format") != _FORMAT:
        raise CheckpointError(f"{path}: not a wsipsm checkpoint, expected one written by wsipsm")
    try:
        tensors = {name: tensor.numpy() for name, tensor in content["tensors"].items()}
        return content | {"table": json.loads(content["table"]), "tensors": tensors}
    except (AttributeError, KeyError, TypeError, ValueError):
        return content | {"table": None}
