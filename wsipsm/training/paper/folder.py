"""Output folder of the paper's method: its files and its record ``training.json``."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from wsipsm.core.errors import OutputError
from wsipsm.core.files import make_folder, write_json
from wsipsm.core.own_files import bad_record, remove_owned
from wsipsm.training.folder import claim, with_earlier_names

DRAWN_STAGES, LEARNT_STAGES = ("masks", "voronoi"), ("encoder", "points", "segmenter")
"""Stages that write a PNG file for every image, and stages that train a network."""


@dataclass(frozen=True, slots=True)
class PaperFolder:
    """Paths of the files of a training, all in ``paper`` below the output folder; nothing else there is touched."""

    path: Path

    @classmethod
    def below(cls, out: Path) -> PaperFolder:
        """Folder ``paper`` of an output folder."""
        return cls(out / "paper")

    @property
    def encoder(self) -> Path:
        """Activation network."""
        return self.path / "encoder.safetensors"

    @property
    def model(self) -> Path:
        """The trained segmenter."""
        return self.path / "segmenter.safetensors"

    @property
    def record(self) -> Path:
        """Names of the images, settings and fingerprint."""
        return self.path / "training.json"

    def drawn(self, stage: str, index: int) -> Path:
        """PNG file of a stage for an image."""
        return self.path / stage / f"{index:05d}.png"

    def state(self, stage: str) -> Path:
        """State that a killed stage resumes from."""
        return self.path / "states" / f"{stage}.pt"

    def files(self, images: int) -> set[Path]:
        """All files of a training on this number of images."""
        drawn = {self.drawn(stage, index) for stage in DRAWN_STAGES for index in range(images)}
        own = {self.record, self.encoder, self.model, *map(self.state, LEARNT_STAGES)}
        return with_earlier_names(own | drawn)

    def begin(self, facts: dict[str, Any], *, fresh: bool) -> None:
        """Create the folder and its record, or check that they are of the same training.

        Parameters
        ----------
        facts : dict
            ``fingerprint``, ``images`` (their names) and ``settings``, for the record.
        fresh : bool
            Remove the files of an earlier training that its record lists, and no others.

        Raises
        ------
        OutputError
            The folder cannot be written, holds another training, or files that are not of a training.
        """
        held = self._read() if self.record.is_file() else None
        owned = self.files(len(held["images"])) if held else set()
        claim(self.path, self.record, planned=self.files(len(facts["images"])), owned=owned, fresh=fresh)
        if held and not fresh and held["fingerprint"] != facts["fingerprint"]:
            raise OutputError(
                f"{self.path}: holds a training of other images or settings: choose another folder, or start anew "
                "with --fresh"
            )
        make_folder(self.path)
        write_json(self.record, facts)
        for name in (*DRAWN_STAGES, "states"):
            make_folder(self.path / name)

    def drop_states(self) -> None:
        """Remove the states, a gigabyte of weights and optimiser moments."""
        remove_owned(map(self.state, LEARNT_STAGES))
        with suppress(OSError):  # not there, or not empty
            (self.path / "states").rmdir()

    def _read(self) -> dict[str, Any]:
        with suppress(OSError, ValueError, KeyError, TypeError):
            held: dict[str, Any] = orjson.loads(self.record.read_bytes())
            return {"fingerprint": held["fingerprint"], "images": list(held["images"])}
        raise bad_record(self.record)
