"""Context of a training, shared by its stages: settings, folder, record, metrics, and the observer of its events."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import TypeVar

from wsipsm.config import Config
from wsipsm.core.events import Event, Observer
from wsipsm.nuclei.learning import Progress, StepRecord
from wsipsm.nuclei.nets.device import Device
from wsipsm.training.folder import Folder, Record
from wsipsm.training.inputs import Skipped
from wsipsm.training.metrics import Metrics

T = TypeVar("T")


@dataclass(frozen=True)
class TrainingContext:
    """Context that all stages share."""

    config: Config
    folder: Folder
    record: Record
    digests: dict[str, str]
    device: Device
    on_event: Observer
    metrics: Metrics
    skipped: list[Skipped]

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Record a stage and its seconds."""
        self.record.enter(name, self.digests[name])
        start = perf_counter()
        yield
        self.record.leave(name, perf_counter() - start)

    def each(self, stage: str, items: Sequence[T]) -> Iterator[T]:
        """Items of a stage; each counts as a step of it once the next is taken."""
        self.on_event(Event("stage", text=stage, steps=len(items)))
        for step, item in enumerate(items, start=1):
            yield item
            self.on_event(Event("step", text=stage, step=step, steps=len(items)))

    def progress(self, stage: str, number: int, *, steps: int, title: str = "") -> Progress:
        """Begin a stage that learns; the result enters each of its steps in the metrics and reports it.

        Parameters
        ----------
        stage : str
            Name in the metrics.
        number : int
            Round of the segmenter, 0 for the encoder.
        steps : int
            Optimiser steps in all.
        title : str
            Name in events, by default ``stage``.
        """
        title = title or stage
        self.on_event(Event("stage", text=title, steps=steps))
        self.metrics.begin()

        def report(record: StepRecord) -> None:
            if record.loss is not None:
                self.metrics.add(stage, number, record.step, record.loss)
            self.on_event(Event("step", text=title, step=record.step, steps=steps, loss=record.loss))

        return report

    def leave_out(self, one: Skipped) -> None:
        """Record a slide that nothing is learnt from, and report it."""
        self.skipped.append(one)
        self.record.table["skipped"] = [one.to_dict() for one in self.skipped]
        self.report_left_out(one)

    def report_left_out(self, one: Skipped) -> None:
        """Report a slide that is left out."""
        self.message(f"left out: {one.path}: {one.reason}")

    def message(self, text: str) -> None:
        """Report something about the training as a whole."""
        self.on_event(Event("message", text=text))
