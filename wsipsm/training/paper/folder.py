"""The folder of a training: where each file lies, and which are its own."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from wsipsm.core.errors import OutputError
from wsipsm.core.files import make_folder, write_json
from wsipsm.core.own_files import bad_record, refuse_foreign, remove_owned

DRAWN_STAGES, LEARNT_STAGES = ("masks", "voronoi"), ("encoder", "points", "segmenter")
"""Stages that leave a picture of every image, and those that leave a state while they last."""


@dataclass(frozen=True, slots=True)
class PaperFolder:
    """Files of a training; all lie in ``paper`` below the output folder, whose other content is left alone."""

    path: Path

    @classmethod
    def below(cls, out: Path) -> PaperFolder:
        """Of an output folder."""
        return cls(out / "paper")

    @property
    def encoder(self) -> Path:
        """Activation network."""
        return self.path / "encoder.pt"

    @property
    def model(self) -> Path:
        """What comes out."""
        return self.path / "segmenter.pt"

    @property
    def record(self) -> Path:
        """Images and settings."""
        return self.path / "training.json"

    def drawn(self, stage: str, index: int) -> Path:
        """Picture of an image after a stage."""
        return self.path / stage / f"{index:05d}.png"

    def state(self, stage: str) -> Path:
        """State within a stage."""
        return self.path / "states" / f"{stage}.pt"

    def files(self, images: int) -> set[Path]:
        """All that a training on so many images writes."""
        drawn = {self.drawn(stage, index) for stage in DRAWN_STAGES for index in range(images)}
        return {self.record, self.encoder, self.model, *map(self.state, LEARNT_STAGES), *drawn}

    def begin(self, facts: dict[str, Any], *, fresh: bool) -> None:
        """Make the folder, or see that it holds this very training.

        Parameters
        ----------
        facts : dict
            ``fingerprint``, ``images`` (their names) and ``settings``, for the record.
        fresh : bool
            Remove what the record lists of an earlier training, and nothing else.

        Raises
        ------
        OutputError
            The folder cannot be written, holds another training, or files that are not of a training.
        """
        held = self._read() if self.record.is_file() else None
        owned = self.files(len(held["images"])) if held else set()
        refuse_foreign(self.path, self.files(len(facts["images"])) - owned)
        if held and fresh:
            remove_owned(owned - {self.record})
            remove_owned([self.record])  # the last, as it says what was to be removed
        elif held and held["fingerprint"] != facts["fingerprint"]:
            raise OutputError(
                f"{self.path}: holds a training of other images or settings: choose another folder, or start anew "
                "with --fresh"
            )
        make_folder(self.path)
        write_json(self.record, facts)
        for name in (*DRAWN_STAGES, "states"):
            make_folder(self.path / name)

    def drop_states(self) -> None:
        """Remove the states, a gigabyte of weights and moments, when nothing needs them any more."""
        remove_owned(map(self.state, LEARNT_STAGES))
        with suppress(OSError):  # not there, or not empty
            (self.path / "states").rmdir()

    def _read(self) -> dict[str, Any]:
        with suppress(OSError, ValueError, KeyError, TypeError):
            held: dict[str, Any] = orjson.loads(self.record.read_bytes())
            return {"fingerprint": held["fingerprint"], "images": list(held["images"])}
        raise bad_record(self.record)
