"""The folder of a training: where each file lies, and what is already done."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from wsipsm import __version__
from wsipsm.config import SegmenterConfig
from wsipsm.errors import OutputError
from wsipsm.provenance import make_folder, write_json

STAGES = ("fields", "encoder", "pseudolabels", "segmenter")
"""In order; each rests on those before it."""

_REMOVED = ("fields", "pseudolabels", "encoder.pt", "model.pt", "metrics.csv", "train.json", "training.html")


@dataclass(frozen=True, slots=True)
class Folder:
    """Files of a training."""

    path: Path

    @property
    def encoder(self) -> Path:
        """Activation network."""
        return self.path / "encoder.pt"

    @property
    def model(self) -> Path:
        """What comes out."""
        return self.path / "model.pt"

    @property
    def metrics(self) -> Path:
        """Loss of every step."""
        return self.path / "metrics.csv"

    @property
    def record(self) -> Path:
        """What was done with what."""
        return self.path / "train.json"

    @property
    def report(self) -> Path:
        """To look at."""
        return self.path / "training.html"

    def fields(self, name: str) -> Path:
        """Fields and patches of a slide."""
        return self.path / "fields" / f"{name}.npz"

    def labels(self, name: str) -> Path:
        """Pseudo labels of the fields of a slide."""
        return self.path / "pseudolabels" / f"{name}.npz"

    def round(self, number: int) -> Path:
        """Segmenter after a round."""
        return self.path / f"round-{number}.pt"

    def pair(self, number: int, member: int) -> Path:
        """Network of a member and its running mean after a round, which the next one goes on from."""
        return self.path / f"round-{number}-{member}.pair"

    def state(self, number: int, member: int) -> Path:
        """State of a member within a round."""
        return self.path / f"round-{number}-{member}.state"

    def rounds_done(self, config: SegmenterConfig) -> int:
        """How many rounds need not be learnt again."""
        done = [
            n
            for n in range(config.rounds + 1)
            if self.round(n).is_file() and all(self.pair(n, m).is_file() for m in range(config.learners(n)))
        ]
        return max(done, default=-1) + 1

    def clear(self) -> None:
        """Remove what a training left, and nothing else.

        Raises
        ------
        OutputError
            Something cannot be removed.
        """
        try:
            for path in [self.path / name for name in _REMOVED] + sorted(self.path.glob("round-*.*")):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{error.filename}: cannot be removed: {error.strerror}") from None


def stage_digests(config: Mapping[str, Any], inputs: list[Any], init: str | None) -> dict[str, str]:
    """Sixteen hexadecimal digits a stage, that change when its result could.

    Parameters
    ----------
    config : mapping
        The configuration, JSON-ready.
    inputs : list
        JSON-ready facts about the slides: fingerprints and resolutions.
    init : str or None
        Hash of the checkpoint that the segmenter starts from.
    """
    encoder, segmenter = config["encoder"], config["segmenter"]
    sampled = [encoder[key] for key in ("seed", "patches", "patch_px")]
    sampled += [segmenter[key] for key in ("seed", "fields", "field_px", "patch_px")]
    facts = {
        "fields": [__version__, inputs, config["grid"], config["tissue"], config["recognizer"], sampled],
        "encoder": [encoder],
        "pseudolabels": [config["pseudomask"], config["pseudolabels"]],
        "segmenter": [segmenter, config["labels"], init],
    }
    digests, before = {}, ""
    for stage in STAGES:
        content = orjson.dumps([before, facts[stage]], option=orjson.OPT_SORT_KEYS)
        before = digests[stage] = hashlib.sha256(content).hexdigest()[:16]
    return digests


class Record:
    """``train.json``: inputs, settings, and for each stage its digest and seconds.

    Parameters
    ----------
    path : Path
        The file.
    table : dict
        JSON-ready.
    """

    def __init__(self, path: Path, table: dict[str, Any]) -> None:
        self.path, self.table = path, table

    @classmethod
    def begin(cls, folder: Folder, digests: Mapping[str, str], facts: Mapping[str, Any]) -> Record:
        """Record of a folder that holds nothing yet, or the first stages of this very training.

        Raises
        ------
        OutputError
            The folder cannot be written, or holds another training.
        """
        make_folder(folder.path)
        held: dict[str, Any] = {"stages": {}, "rounds": {}}
        if folder.record.is_file():
            held = _read(folder.record)
            stages = held["stages"]
            if other := [s for s in STAGES if s in stages and stages[s]["digest"] != digests[s]]:
                raise OutputError(
                    f"{folder.path}: holds a training of other inputs or settings ({other[0]} would differ): choose "
                    "another folder, or start anew with --fresh"
                )
        elif folder.model.exists():
            raise OutputError(f"{folder.model}: there is a model already, choose another folder or give --fresh")
        for name in ("fields", "pseudolabels"):
            make_folder(folder.path / name)
        if held.get("status") == "done":
            return cls(folder.record, held)
        record = cls(folder.record, held | dict(facts) | {"status": "begun"})
        record.write()
        return record

    def enter(self, stage: str, digest: str) -> None:
        """Say that a stage begins."""
        self.table["stages"].setdefault(stage, {"digest": digest, "seconds": 0.0})
        self.write()

    def leave(self, stage: str, seconds: float) -> None:
        """Say that a stage is done, and how long it took this time."""
        entry = self.table["stages"][stage]
        entry["seconds"] = round(entry["seconds"] + seconds, 1)
        self.write()

    def write(self) -> None:
        """Write it whole or not at all."""
        write_json(self.path, self.table)


def _read(path: Path) -> dict[str, Any]:
    try:
        held: dict[str, Any] = orjson.loads(path.read_bytes())
        if all(entry["digest"] and entry["seconds"] >= 0 for entry in held["stages"].values()):
            return held | {"rounds": dict(held["rounds"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise OutputError(f"{path}: damaged, start anew with --fresh")
