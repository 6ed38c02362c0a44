"""What is wanted of one slide, as the worker that prepares it is told."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from wsipsm.config import Config
from wsipsm.provenance import result_hash


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

    @property
    def pixels(self) -> Path:
        """Where the slide is read from."""
        return nearest(self.slide, self.staged)

    def digest(self, fingerprint: str) -> str:
        """Hash of all that the cells of the slide depend on."""
        return result_hash(
            self.config,
            slide=fingerprint,
            slide_mpp=self.slide_mpp,
            roi=hashlib.sha256(self.roi.read_bytes()).hexdigest() if self.roi else None,
            checkpoint=self.checkpoint_sha256,
        )


def nearest(slide: Path, staged: Path | None) -> Path:
    """The staged copy where this machine sees it, else the slide."""
    return staged if staged is not None and staged.exists() else slide
