"""One slide's work as paths and numbers: what is asked of it (`SlideTask`), and its plan in a shared folder (`Job`)."""

from __future__ import annotations

import contextlib
import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import shapely
from pydantic import PlainSerializer, PlainValidator, TypeAdapter

from wsipsm.cells.expansion import context_px
from wsipsm.cells.instances import halo_px
from wsipsm.config import Config
from wsipsm.core.errors import InputError, StaleError, UnreadableSlideError
from wsipsm.core.files import result_hash, write_bytes
from wsipsm.core.geometry import Grid
from wsipsm.engine.maps import Maps
from wsipsm.nuclei.models import shipped_model
from wsipsm.slide import Slide, open_slide
from wsipsm.tissue.region import Region
from wsipsm.tissue.tiles import Lattice, Tile

WkbRegion = Annotated[
    Region,
    PlainValidator(lambda wkb: Region(shapely.from_wkb(wkb))),
    PlainSerializer(lambda region: shapely.to_wkb(region.polygons, hex=True)),
]
"""A region that is written to JSON as hexadecimal WKB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SlideOptions:
    """Options that a run passes on to each of its slides; a new one is added here, and every task has it.

    Attributes
    ----------
    slide_mpp : float, optional
        Micrometres per level-0 pixel, instead of what the slide says.
    roi : Path, optional
        GeoJSON polygons in the frame of QuPath; cells are sought inside them only.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    checkpoint : Path, optional
        Of a segmenter or, for the pseudo mask, an encoder; or the calibration of an earlier run.
    fresh : bool
        Drop what earlier runs left.
    """

    slide_mpp: float | None = None
    roi: Path | None = None
    device: str = "auto"
    checkpoint: Path | None = None
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class SlideTask(SlideOptions):
    """Per-slide job request.

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
    checkpoint_sha256 : str, optional
        Hash of the checkpoint, or of the shipped one; None where a network is learnt on the slide.
    staged : Path, optional
        A copy of the slide on a faster disk; a worker that does not see it reads the slide itself.
    token : str
        Identifies the run's work on this slide: however often it is prepared, the scratch stays this run's. Tasks of an
        earlier run end when they find another token in the scratch, and no worker trusts what it cached of an earlier
        one.
    root : Path, optional
        Folder that the run has locked and that contains the slide's folder.
    run : str
        Identifies the run that has locked it.
    host : str
        Machine that the run was started on.
    remake : bool
        The cells are stored, only files made from them are asked for.
    refused : str
        Why the slide cannot be used, where that was seen before it is opened; else empty.
    """

    slide: Path
    slide_id: str
    out: Path
    config: Config
    checkpoint_sha256: str | None = None
    staged: Path | None = None
    token: str = ""
    root: Path | None = None
    run: str = ""
    host: str = ""
    remake: bool = False
    refused: str = ""

    @property
    def drafts(self) -> str:
        """Prefix of the folders in ``out`` into which the run writes outputs before they get their final names."""
        return f".draft-{self.token}-"

    def open(self, *, in_place: bool = False) -> Slide:
        """Open the staged copy where this machine sees a good one and may use it, else the slide.

        Errors as `open_slide`.
        """
        if self.staged is not None and not in_place and self.staged.exists():
            with contextlib.suppress(UnreadableSlideError, InputError):
                return open_slide(self.staged, mpp=self.slide_mpp)
        return open_slide(self.slide, mpp=self.slide_mpp)

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


def halo_px_of(config: Config, mpp: float) -> int:
    """How far from its anchor a cell depends on the maps at ``mpp`` micrometres a pixel, px."""
    rules = config.instance_rules
    return halo_px(rules, mpp) + max(_ring_px(config, mpp), context_px(rules, mpp, config.cells.expand_um))


def _ring_px(config: Config, mpp: float) -> int:
    """Width of the ring in which a marker is measured, where there is one."""
    return math.ceil(config.classes.ring_um / mpp) if config.classes.scheme != "none" else 0


@dataclass(frozen=True, slots=True)
class Job:
    """A slide's request and the plan made from it, as every task on the slide reads it.

    Attributes
    ----------
    task : SlideTask
        What is asked of the slide.
    grid : Grid
        The working plane.
    region : Region
        Where cells are sought, level-0 px.
    origin_l0 : tuple of int
        Origin (x, y) of the GeoJSON frame in level-0 px.
    digest : str
        Hash of all that the cells depend on; empty for a plan that is not run.
    why_empty : str
        Why the region is empty; else empty.
    said : tuple of str
        What a reader of the results must know of the inputs, a sentence each.
    black_ground : bool
        Whether pure black is what was not scanned.
    """

    task: SlideTask
    grid: Grid
    region: WkbRegion
    origin_l0: tuple[int, int]
    digest: str = ""
    why_empty: str = ""
    said: tuple[str, ...] = ()
    black_ground: bool = False

    def open(self, *, in_place: bool = False) -> Slide:
        """Open the slide as `SlideTask.open`, to be read as it was when its tissue was found."""
        slide = self.task.open(in_place=in_place)
        slide.black_ground = self.black_ground
        slide.take_pixels(self.pixels_file)
        return slide

    def fingerprint(self, slide: Slide) -> str:
        """Identity of the content of the open slide.

        Raises
        ------
        UnreadableSlideError
            It is another one than when the tissue was found.
        """
        found = slide.fingerprint()
        if self.task.digest(found) != self.digest:
            raise UnreadableSlideError(f"{slide.path}: the slide, or its region, has changed meanwhile: run again")
        return found

    @property
    def config(self) -> Config:
        """The configuration."""
        return self.task.config

    @property
    def lattice(self) -> Lattice:
        """Cores and blocks of the grid."""
        return Lattice(self.grid, self.config.tiles.core_px, self.config.tiles.block_px)

    @property
    def halo_px(self) -> int:
        """How far from its anchor a cell depends on the maps, grid px."""
        return halo_px_of(self.config, self.grid.mpp)

    @property
    def nucleus_halo_px(self) -> int:
        """How far from its anchor a nucleus depends on the maps, grid px; its whole cell may depend on more."""
        return halo_px(self.config.instance_rules, self.grid.mpp) + _ring_px(self.config, self.grid.mpp)

    @property
    def region_mm2(self) -> float:
        """Area of the region, square millimetres."""
        return self.grid.area_mm2(self.region.area_l0)

    @property
    def model(self) -> Path:
        """Checkpoint of the segmenter: the user's, or the one that comes with the package."""
        return self.task.checkpoint or shipped_model(self.config.recognizer.stain)

    @property
    def work(self) -> Path:
        """Scratch folder of this digest and this size of cores, inside the slide's output folder."""
        return self.task.out / f".work-{self.digest}-{self.config.tiles.core_px}"

    @property
    def calibration_file(self) -> Path:
        """Checkpoint of the recogniser, calibrated to the slide and frozen."""
        return self.work / "calibration.safetensors"

    @property
    def maps(self) -> Maps:
        """Scratch files of the maps."""
        return Maps(self.work / "maps", self.grid, self.config.tiles.core_px)

    @property
    def pixels_file(self) -> Path:
        """Scratch file of the decoded pixels of a large plain image, which all workers read."""
        return self.work / "pixels.npy"

    def status_file(self, tile: Tile) -> Path:
        """Status of a tile's maps; see `maps.TileStatus`."""
        return self.work / "mapped" / tile.name

    def tile_file(self, tile: Tile) -> Path:
        """Cells and labels of a tile."""
        return self.work / "tiles" / f"{tile.name}.npz"

    @property
    def drafts(self) -> str:
        """Prefix of the folders into which this run writes outputs before they get their final names."""
        return self.task.drafts

    @property
    def ref(self) -> JobRef:
        """What tasks carry."""
        return JobRef(str(self.work), self.task.token)

    def save(self) -> JobRef:
        """Write the job into its scratch folder, which is this run's from now on; returns what tasks carry."""
        for folder in ("maps", "mapped", "tiles"):
            (self.work / folder).mkdir(parents=True, exist_ok=True)
        write_bytes(self.work / "job.json", _JOB.dump_json(self, indent=2))
        return self.ref

    def is_mine(self) -> bool:
        """Whether the scratch folder is there and this run's."""
        with contextlib.suppress(OSError, ValueError, StaleError):
            self.ref.load()
            return True
        return False


@dataclass(frozen=True, slots=True)
class JobRef:
    """Where a job is written; small enough to travel with every task."""

    work: str
    token: str

    def load(self) -> Job:
        """Read the job back.

        Raises
        ------
        StaleError
            Another run has taken over the scratch folder, or the slide is over.
        """
        try:
            job = _JOB.validate_json((Path(self.work) / "job.json").read_bytes())
        except FileNotFoundError:
            raise StaleError(f"{self.work}: the scratch of this slide is gone; run again") from None
        if job.task.token != self.token:
            raise StaleError(f"{self.work}: another run has taken over this slide; its results are the other's now")
        return job


_JOB = TypeAdapter(Job)
