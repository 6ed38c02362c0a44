"""Output folder of a training: its files, its record ``train.json``, and which stages and rounds are done."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from wsipsm.config import TrainingConfig, with_new_names
from wsipsm.core.errors import OutputError
from wsipsm.core.files import make_folder, write_json
from wsipsm.core.own_files import bad_record, refuse_foreign, remove_owned

STAGES = ("fields", "encoder", "pseudolabels", "segmenter")
"""In order; each depends on those before it."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Paths of the files of a training."""

    path: Path

    @property
    def encoder(self) -> Path:
        """Pretrained activation network."""
        return self.path / "encoder.safetensors"

    @property
    def model(self) -> Path:
        """The trained segmenter."""
        return self.path / "model.safetensors"

    @property
    def metrics(self) -> Path:
        """Loss of every step."""
        return self.path / "metrics.csv"

    @property
    def record(self) -> Path:
        """Inputs, settings and progress, see :class:`Record`."""
        return self.path / "train.json"

    @property
    def report(self) -> Path:
        """Page with pictures and loss curves."""
        return self.path / "training.html"

    def fields(self, name: str) -> Path:
        """Sample of a slide: fields and patches."""
        return self.path / "fields" / f"{name}.npz"

    def labels(self, name: str) -> Path:
        """Pseudo labels of a slide's fields."""
        return self.path / "pseudolabels" / f"{name}.npz"

    def round(self, number: int) -> Path:
        """Segmenter after a round."""
        return self.path / f"round-{number}.safetensors"

    def state(self, number: int, member: int) -> Path:
        """Networks and optimiser of a member within and after a round; the next round goes on from them."""
        return self.path / f"round-{number}-{member}.state"

    def states(self, *, rounds: int, members: int) -> set[Path]:
        """States of all rounds and members, and of the distillation, which counts as one more round."""
        states = {self.state(n, m) for n in range(rounds + 2) for m in range(members)}
        return states | {
            state.with_suffix(".pair") for state in states
        }  # as earlier versions called the end of a round

    def rounds_done(self, config: TrainingConfig) -> int:
        """Number of rounds whose segmenter and states are complete."""
        done = [
            n
            for n in range(config.rounds + 1)
            if self.round(n).is_file() and all(self.state(n, m).is_file() for m in range(config.members_in_round(n)))
        ]
        return max(done, default=-1) + 1

    def files(self, stages: Iterable[str], names: Iterable[str], *, rounds: int, members: int) -> set[Path]:
        """All files that some of `STAGES` write, for slides of these names and a segmenter of these settings.

        Parameters
        ----------
        stages : iterable of str
            Some of `STAGES`.
        names : iterable of str
            Of the slides.
        rounds, members : int
            Of the segmenter's training.
        """
        names, numbers = list(names), range(rounds + 1)
        by_stage = {
            "fields": {self.fields(name) for name in names},
            "encoder": {self.encoder, self.metrics},
            "pseudolabels": {self.labels(name) for name in names} | {self.report},
            "segmenter": {self.round(n) for n in numbers}
            | self.states(rounds=rounds, members=members)
            | {self.metrics, self.report, self.model},
        }
        return with_earlier_names({self.record}.union(*(by_stage[stage] for stage in stages)))


def with_earlier_names(files: Iterable[Path]) -> set[Path]:
    """Files, and what those that hold a network were called before they were safetensors."""
    files = set(files)
    return files | {file.with_suffix(".pt") for file in files if file.suffix == ".safetensors"}


TRAINING_VERSION = 2
"""Raised by hand whenever the same slides and settings train another segmenter than before."""


def stage_digests(config: Mapping[str, Any], inputs: list[Any], init: str | None) -> dict[str, str]:
    """Digest of each stage, 16 hexadecimal digits, that changes when the result of the stage could.

    Parameters
    ----------
    config : mapping
        The configuration, JSON-ready.
    inputs : list
        Fingerprint and resolution of each slide, JSON-ready.
    init : str or None
        SHA-256 of the checkpoint that the segmenter starts from.
    """
    encoder, training = config["encoder"], config["training"]
    sampled = [encoder[key] for key in ("seed", "patches", "patch_px")]
    sampled += [training[key] for key in ("seed", "fields", "field_px", "patch_px")]
    around = [config["classes"][key] for key in ("scheme", "compartment")]
    facts = {
        "fields": [TRAINING_VERSION, inputs, config["grid"], config["tissue"], config["recognizer"], around, sampled],
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
    """The record ``train.json``: inputs, settings, and digest and seconds of each stage.

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
        """Create the record, or continue that of the same training.

        Parameters
        ----------
        folder : Folder
            Exists already.
        digests : mapping
            See `stage_digests`.
        facts : mapping
            Inputs, settings, device and the like, copied to the record.
        fresh : bool
            Remove the files of an earlier training that its record lists, and no others.

        Raises
        ------
        OutputError
            The folder cannot be written, holds another training, or files that are not of a training.
        """
        held = _read(folder.record) if folder.record.is_file() else None
        owned = _files(folder, held, held["stages"]) if held else set()
        claim(folder.path, folder.record, planned=_files(folder, facts, STAGES), owned=owned, fresh=fresh)
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
        names = {"names": sorted({*_names(held), *_names(facts)})}  # a slide may have been renamed since
        record = cls(folder.record, held | dict(facts) | names | {"status": "begun"})
        record.write()
        for name in ("fields", "pseudolabels"):
            make_folder(folder.path / name)
        return record

    def enter(self, stage: str, digest: str) -> None:
        """Record the start of a stage."""
        self.table["stages"].setdefault(stage, {"digest": digest, "seconds": 0.0})
        self.write()

    def leave(self, stage: str, seconds: float) -> None:
        """Record the end of a stage; its seconds add up over starts."""
        entry = self.table["stages"][stage]
        entry["seconds"] = round(entry["seconds"] + seconds, 1)
        self.write()

    def write(self) -> None:
        """Write the record whole or not at all."""
        write_json(self.path, self.table)


def claim(folder: Path, record: Path, *, planned: set[Path], owned: set[Path], fresh: bool) -> None:
    """Refuse planned files that exist and are not ``owned`` by the record; with ``fresh`` remove the owned ones.

    Parameters
    ----------
    folder : Path
        Of the training.
    record : Path
        Its record.
    planned : set of Path
        Files that will be written.
    owned : set of Path
        Files that the record says it wrote.
    fresh : bool
        Whether to remove the owned ones.

    Raises
    ------
    OutputError
        A planned file is of somebody else, or an owned one cannot be removed.
    """
    refuse_foreign(folder, planned - owned)
    if owned and fresh:
        remove_owned(owned - {record})
        remove_owned([record])  # last, as it lists what is to be removed


def _files(folder: Folder, facts: Mapping[str, Any], stages: Iterable[str]) -> set[Path]:
    """Files that stages write, from the facts or the record of a training."""
    training = facts["config"]["training"]
    return folder.files(stages, _names(facts), rounds=training["rounds"], members=training["members"])


def _names(table: Mapping[str, Any]) -> list[str]:
    """Present and earlier names of the slides."""
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
