"""The folder of a training: where each file lies, and what is already done."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from wsipsm import __version__
from wsipsm.config import TrainingConfig, with_new_names
from wsipsm.core.errors import OutputError
from wsipsm.core.files import make_folder, write_json
from wsipsm.core.own_files import bad_record, refuse_foreign, remove_owned

STAGES = ("fields", "encoder", "pseudolabels", "segmenter")
"""In order; each rests on those before it."""


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

    def rounds_done(self, config: TrainingConfig) -> int:
        """How many rounds need not be learnt again."""
        done = [
            n
            for n in range(config.rounds + 1)
            if self.round(n).is_file() and all(self.pair(n, m).is_file() for m in range(config.members_in_round(n)))
        ]
        return max(done, default=-1) + 1

    def pairs(self, *, rounds: int, members: int) -> set[Path]:
        """Networks that rounds go on from, of all rounds and members."""
        return {self.pair(n, m) for n in range(rounds + 1) for m in range(members)}

    def files(self, stages: Iterable[str], names: Iterable[str], *, rounds: int, members: int) -> set[Path]:
        """All that some stages of a training write.

        Parameters
        ----------
        stages : iterable of str
            Of `STAGES`.
        names : iterable of str
            Of the slides.
        rounds, members : int
            Of the segmenter.
        """
        names, numbers = list(names), range(rounds + 1)
        states = {self.state(n, m) for n in numbers for m in range(members)}
        by_stage = {
            "fields": {self.fields(name) for name in names},
            "encoder": {self.encoder, self.metrics},
            "pseudolabels": {self.labels(name) for name in names} | {self.report},
            "segmenter": {self.round(n) for n in numbers}
            | self.pairs(rounds=rounds, members=members)
            | states
            | {self.metrics, self.report, self.model},
        }
        return {self.record}.union(*(by_stage[stage] for stage in stages))


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
    encoder, training = config["encoder"], config["training"]
    sampled = [encoder[key] for key in ("seed", "patches", "patch_px")]
    sampled += [training[key] for key in ("seed", "fields", "field_px", "patch_px")]
    facts = {
        "fields": [__version__, inputs, config["grid"], config["tissue"], config["recognizer"], sampled],
        "encoder": [encoder],
        "pseudolabels": [config["pseudomask"], config["pseudolabels"]],
        "segmenter": [training, config["segmenter"], config["labels"], init],
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
    def begin(
        cls, folder: Folder, digests: Mapping[str, str], facts: Mapping[str, Any], *, fresh: bool = False
    ) -> Record:
        """Record of a folder that holds no training yet, or the first stages of this very training.

        Parameters
        ----------
        folder : Folder
            It exists.
        digests : mapping
            See `stage_digests`.
        facts : mapping
            Inputs, settings and the like, which the record keeps.
        fresh : bool
            Remove what the record lists of an earlier training, and nothing else.

        Raises
        ------
        OutputError
            The folder cannot be written, holds another training, or files that are not of a training.
        """
        held = _read(folder.record) if folder.record.is_file() else None
        owned = _files(folder, held, held["stages"]) if held else set()
        refuse_foreign(folder.path, _files(folder, facts, STAGES) - owned)
        if held and fresh:
            remove_owned(owned - {folder.record})
            remove_owned([folder.record])  # the last, as it says what was to be removed
        stages = held["stages"] if held and not fresh else {}
        if other := [s for s in STAGES if s in stages and stages[s]["digest"] != digests[s]]:
            raise OutputError(
                f"{folder.path}: holds a training of other inputs or settings ({other[0]} would differ): choose "
                "another folder, or start anew with --fresh"
            )
        return cls._of(folder, facts, {"stages": {}, "rounds": {}} if held is None or fresh else held)

    @classmethod
    def _of(cls, folder: Folder, facts: Mapping[str, Any], held: dict[str, Any]) -> Record:
        if held.get("status") == "done":
            return cls(folder.record, held)
        names = {"names": sorted({*_names(held), *_names(facts)})}  # a slide may bear another name by now
        record = cls(folder.record, held | dict(facts) | names | {"status": "begun"})
        record.write()
        for name in ("fields", "pseudolabels"):
            make_folder(folder.path / name)
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


def _files(folder: Folder, facts: Mapping[str, Any], stages: Iterable[str]) -> set[Path]:
    """What stages of a training write that has these facts, or this record."""
    training = facts["config"]["training"]
    return folder.files(stages, _names(facts), rounds=training["rounds"], members=training["members"])


def _names(table: Mapping[str, Any]) -> list[str]:
    """Names that the files of the slides have, or had earlier in this training."""
    return [*table.get("names", ()), *(source["name"] for source in table.get("inputs", ()))]


def _read(path: Path) -> dict[str, Any]:
    try:
        held: dict[str, Any] = orjson.loads(path.read_bytes())
        held["config"] = with_new_names(held["config"])
        _files(Folder(path.parent), held, held["stages"])
        whole = all(entry["digest"] and entry["seconds"] >= 0 for entry in held["stages"].values())
        if whole and all(Path(name).name == name for name in _names(held)):  # nothing outside the folder is ours
            return held | {"rounds": dict(held["rounds"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise bad_record(path)
