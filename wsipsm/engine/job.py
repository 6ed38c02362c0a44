"""One slide's run as workers see it: paths and numbers in a folder that every worker can read."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import shapely

from wsipsm.cells.instances import halo_px
from wsipsm.config import Config, parse_config
from wsipsm.core.errors import StaleError
from wsipsm.core.files import write_json
from wsipsm.core.geometry import Grid
from wsipsm.engine.order import open_nearest
from wsipsm.engine.reports import Counts
from wsipsm.nuclei.models import shipped_model
from wsipsm.slide import Slide
from wsipsm.tissue.region import Region
from wsipsm.tissue.tiles import Lattice, Tile, TilePlan


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a stage needs to know.

    Attributes
    ----------
    slide : Path
        The slide's file.
    slide_mpp : float or None
        The resolution given by the user, micrometres per level-0 pixel.
    slide_id : str
        Name of the slide's output folder.
    config : Config
        The configuration.
    grid : Grid
        The working plane.
    region : Region
        Where cells are wanted, level-0 px.
    offset_l0 : tuple of int
        Origin (x, y) of the GeoJSON frame in level-0 px.
    work : Path
        Scratch folder of this run.
    out : Path
        The slide's output folder.
    device : str
        ``auto``, ``cpu`` or ``cuda``.
    given : Path or None
        Checkpoint that the user gave: of a segmenter or an encoder, or the fit of an earlier run.
    staged : Path or None
        A copy of the slide on a faster disk; a worker that does not see it reads the slide itself.
    token : str
        Names the run whose scratch this is. Tasks of an earlier run that are still under way somewhere end when they
        find another one here, and no worker trusts what it cached of an earlier one.
    """

    slide: Path
    slide_mpp: float | None
    slide_id: str
    config: Config
    grid: Grid
    region: Region
    offset_l0: tuple[int, int]
    work: Path
    out: Path
    device: str = "auto"
    given: Path | None = None
    staged: Path | None = None
    token: str = ""

    def open(self, *, in_place: bool = False) -> Slide:
        """Open the slide, or its staged copy where this machine sees one and may use it; errors as `open_slide`."""
        return open_nearest(self.slide, None if in_place else self.staged, mpp=self.slide_mpp)

    @property
    def lattice(self) -> Lattice:
        """Cores and blocks of the grid."""
        return Lattice(self.grid, self.config.tiles.core_px, self.config.tiles.block_px)

    @property
    def halo_px(self) -> int:
        """How far from its anchor a cell depends on the maps, grid px."""
        return halo_px(self.config.instance_rules, self.grid.mpp)

    @property
    def region_mm2(self) -> float:
        """Area of the region, square millimetres."""
        um_per_l0 = self.grid.mpp / self.grid.downsample
        return self.region.area_l0 * um_per_l0**2 / 1e6

    @property
    def fit_file(self) -> Path:
        """Checkpoint of the frozen recogniser."""
        return self.work / "fit.pt"

    @property
    def model(self) -> Path:
        """Checkpoint of the segmenter: the one given, or the one that comes with the package."""
        return self.given if self.given is not None else shipped_model(self.config.recognizer.stain)

    @property
    def maps_folder(self) -> Path:
        """Scratch array of the maps."""
        return self.work / "maps.zarr"

    def status_file(self, tile: Tile) -> Path:
        """Status of a tile's maps; see `maps.TileStatus`."""
        return self.work / "mapped" / tile.name

    def tile_file(self, tile: Tile) -> Path:
        """Cells and labels of a tile."""
        return self.work / "tiles" / f"{tile.name}.npz"

    def at(self, *, out: Path, digest: str) -> Job:
        """Return the job with its output folder, and inside it the scratch folder of this digest and size of cores."""
        return replace(self, out=out, work=out / f".work-{digest}-{self.config.tiles.core_px}")

    @property
    def digest(self) -> str:
        """Hash of everything that the cells depend on."""
        return self.work.name.removeprefix(".work-").partition("-")[0]

    def save(self) -> JobRef:
        """Write the job into its scratch folder, which is this run's from now on; returns what tasks carry."""
        for folder in ("mapped", "tiles"):
            (self.work / folder).mkdir(parents=True, exist_ok=True)
        write_json(self.work / "job.json", _to_table(self))
        return JobRef(str(self.work), self.token)

    @property
    def drafts(self) -> str:
        """How the folders begin that this run writes outputs into before they get their final names."""
        return f".draft-{self.token}-"

    def is_mine(self) -> bool:
        """Whether the scratch folder is there and this run's."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            return bool(orjson.loads((self.work / "job.json").read_bytes())["token"] == self.token)
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
            job = _from_table(orjson.loads((Path(self.work) / "job.json").read_bytes()))
        except FileNotFoundError:
            raise StaleError(f"{self.work}: the scratch of this slide is gone; run again") from None
        if job.token != self.token:
            raise StaleError(f"{self.work}: another run has taken over this slide; its results are the other's now")
        return job


@dataclass(frozen=True, slots=True)
class Prepared:
    """A slide that can be worked on.

    Attributes
    ----------
    ref : JobRef
        Its job, saved.
    plan : TilePlan
        Its tiles.
    mm2 : float
        Area of its region.
    fitted : bool
        Whether the recogniser is there.
    mapped : frozenset of Tile
        Tiles whose maps are stored without a gap.
    recognised : dict
        What is known of tiles that are over for good: cells, outlines mended, cells lost.
    begun_afresh : bool
        Whether scratch of other settings or of another slide was dropped.
    """

    ref: JobRef
    plan: TilePlan
    mm2: float
    fitted: bool
    mapped: frozenset[Tile]
    recognised: dict[Tile, Counts]
    begun_afresh: bool = False


def _to_table(job: Job) -> dict[str, Any]:
    return {
        "slide": str(job.slide),
        "slide_mpp": job.slide_mpp,
        "slide_id": job.slide_id,
        "config": job.config.model_dump(mode="json"),
        "grid": [job.grid.width, job.grid.height, job.grid.downsample, job.grid.mpp],
        "region": shapely.to_wkb(job.region.polygons, hex=True),
        "offset_l0": list(job.offset_l0),
        "work": str(job.work),
        "out": str(job.out),
        "device": job.device,
        "given": str(job.given) if job.given else None,
        "staged": str(job.staged) if job.staged else None,
        "token": job.token,
    }


def _from_table(table: dict[str, Any]) -> Job:
    return Job(
        slide=Path(table["slide"]),
        slide_mpp=table["slide_mpp"],
        slide_id=table["slide_id"],
        config=parse_config(table["config"], where="job.json"),
        grid=Grid(*table["grid"]),
        region=Region(shapely.from_wkb(table["region"])),
        offset_l0=(table["offset_l0"][0], table["offset_l0"][1]),
        work=Path(table["work"]),
        out=Path(table["out"]),
        device=table["device"],
        given=Path(table["given"]) if table["given"] else None,
        staged=Path(table["staged"]) if table["staged"] else None,
        token=table["token"],
    )
