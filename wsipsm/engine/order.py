"""What is wanted of one slide, as the worker that prepares it is told."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wsipsm.config import Config
from wsipsm.core.errors import InputError, UnreadableSlideError
from wsipsm.core.files import result_hash
from wsipsm.slide import Slide, open_slide


@dataclass(frozen=True, slots=True)
class Order:
    """One slide of a run.

    Attributes
    ----------
    slide : Path
        Absolute.
    slide_id : str
        Name of the slide's folder.
    out : Path
        The slide's output folder, absolute.
    config : Config
        The configuration.
    slide_mpp : float, optional
        Micrometres per level-0 pixel, instead of what the slide says.
    roi : Path, optional
        GeoJSON polygons in the frame of QuPath.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    given : Path, optional
        Checkpoint of the user's.
    checkpoint_sha256 : str, optional
        Of that, or of the one that comes with the package; None where a network is learnt on the slide.
    fresh : bool
        Drop what earlier runs left.
    staged : Path, optional
        A copy of the slide on a faster disk; a worker that does not see it reads the slide itself.
    token : str
        Names the run's work on this slide: however often it is prepared, the scratch stays this run's.
    root : Path, optional
        Folder that the run holds and that the slide's folder lies in.
    run : str
        Name of the run that holds it.
    remake : bool
        The cells are stored, only files made from them are wanted.
    host : str
        Machine that the run was started on.
    """

    slide: Path
    slide_id: str
    out: Path
    config: Config
    slide_mpp: float | None = None
    roi: Path | None = None
    device: str = "auto"
    given: Path | None = None
    checkpoint_sha256: str | None = None
    fresh: bool = False
    staged: Path | None = None
    token: str = ""
    root: Path | None = None
    run: str = ""
    remake: bool = False
    host: str = ""

    def open(self) -> Slide:
        """Open the slide, or its staged copy; errors as `open_slide`."""
        return open_nearest(self.slide, self.staged, mpp=self.slide_mpp)

    @property
    def result_keys(self) -> dict[str, dict[str, Any]]:
        """Keys of the configuration that can change the cells."""
        return self.config.result_keys(learns=self.checkpoint_sha256 is None)

    def digest(self, fingerprint: str) -> str:
        """Hash of all that the cells of the slide depend on."""
        return result_hash(
            self.result_keys,
            slide=fingerprint,
            slide_mpp=self.slide_mpp,
            roi=hashlib.sha256(self.roi.read_bytes()).hexdigest() if self.roi else None,
            checkpoint=self.checkpoint_sha256,
        )


def open_nearest(slide: Path, staged: Path | None, *, mpp: float | None) -> Slide:
    """Open the staged copy where this machine sees it and it is well, else the slide; errors as `open_slide`."""
    if staged is not None and staged.exists():
        with contextlib.suppress(UnreadableSlideError, InputError):
            return open_slide(staged, mpp=mpp)
    return open_slide(slide, mpp=mpp)
