"""Context of a training, shared by its stages: settings, folder, record, metrics, and who watches the progress."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

import torch

from wsipsm.config import Config
from wsipsm.nuclei.learning import Progress, StepRecord
from wsipsm.training.folder import Folder, Record
from wsipsm.training.inputs import Skipped
from wsipsm.training.metrics import Metrics


class Watcher(Protocol):
    """Who is told how far a training is."""

    def began(self, stage: str, total: int) -> None:
        """Take note of a stage of so many steps."""

    def moved(self, done: int, loss: float | None = None) -> None:
        """Take note that so many steps of it are done."""

    def said(self, line: str) -> None:
        """Pass a line on."""


@dataclass(frozen=True)
class TrainingContext:
    """Context that all stages share."""

    config: Config
    folder: Folder
    record: Record
    digests: dict[str, str]
    device: torch.device
    watcher: Watcher
    metrics: Metrics
    skipped: list[Skipped]

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Book a stage and its seconds."""
        self.record.enter(name, self.digests[name])
        start = perf_counter()
        yield
        self.record.leave(name, perf_counter() - start)

    def progress(self, stage: str, number: int) -> Progress:
        """Who books every step from now on, and passes it on: of a stage, and its round."""
        self.metrics.begin()

        def told(record: StepRecord) -> None:
            if record.loss is not None:
                self.metrics.add(stage, number, record.step, record.loss)
            self.watcher.moved(record.step, record.loss)

        return told

    def leave_out(self, one: Skipped) -> None:
        """Note a slide that nothing is learnt from."""
        self.skipped.append(one)
        self.record.table["skipped"] = [one.to_dict() for one in self.skipped]
        self.tell(one)

    def tell(self, one: Skipped) -> None:
        """Say that a slide is left out."""
        self.watcher.said(f"left out: {one.path}: {one.reason}")
