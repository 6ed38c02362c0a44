"""Tiles: how the grid is cut into units of work, and what each of them needs.

The grid is cut into square *cores* by a lattice through its origin; a core is a whole number of network *blocks*, or a
whole part of one. The work on a tile has two steps. Mapping runs the network on the blocks of the core and stores the
maps. Recognising reads the stored maps of the core and a halo around it, so the two sides of a border look at the very
same numbers.

Which blocks are mapped depends on the region alone, never on the size of the cores: every block within the halo of the
region.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from wsipsm.config import TilesConfig
from wsipsm.core.errors import ConfigError
from wsipsm.core.geometry import Box, Grid
from wsipsm.tissue.region import Region

BAND_ROWS = 2
"""Rows of tiles that are given out together, column by column."""


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """One unit of work; it alone writes its core.

    Attributes
    ----------
    row, col : int
        Place on the lattice of cores.
    """

    row: int
    col: int

    @property
    def name(self) -> str:
        """Name that sorts by row, then column."""
        return f"{self.row:05d}_{self.col:05d}"

    @classmethod
    def parse(cls, name: str) -> Tile:
        """Tile of a name."""
        row, _, col = name.partition("_")
        return cls(int(row), int(col))

    def neighbourhood(self) -> Iterator[Tile]:
        """The tile and its eight neighbours on the endless lattice, in row-major order."""
        for row in range(self.row - 1, self.row + 2):
            for col in range(self.col - 1, self.col + 2):
                yield Tile(row, col)


@dataclass(frozen=True, slots=True)
class Lattice:
    """The cores and blocks of one grid."""

    grid: Grid
    core_px: int
    block_px: int

    @property
    def rows(self) -> int:
        """Cores in y."""
        return -(-self.grid.height // self.core_px)

    @property
    def cols(self) -> int:
        """Cores in x."""
        return -(-self.grid.width // self.core_px)

    def core(self, tile: Tile) -> Box:
        """Core of a tile, cut at the grid's edge; grid px."""
        x0, y0 = tile.col * self.core_px, tile.row * self.core_px
        return Box(x0, y0, x0 + self.core_px, y0 + self.core_px).intersect(self.grid.box)

    def tiles(self) -> list[Tile]:
        """All tiles in row-major order."""
        return [Tile(row, col) for row in range(self.rows) for col in range(self.cols)]

    def blocks(self, tile: Tile) -> list[Box]:
        """Blocks that hold a pixel of a tile's core, whole even where they cross the grid's edge; grid px.

        A core that is smaller than a block has one, which its neighbours have too: the network must see blocks of one
        size, or its last bits differ.
        """
        core, side = self.core(tile), self.block_px
        first_x, first_y = core.x0 // side * side, core.y0 // side * side
        return [
            Box(x, y, x + side, y + side) for y in range(first_y, core.y1, side) for x in range(first_x, core.x1, side)
        ]


@dataclass(frozen=True, slots=True)
class TilePlan:
    """Tiles that a region needs, in the order in which they are given out.

    Attributes
    ----------
    tiles : tuple of Tile
        Tiles with a block within the halo of the region: a cell may hang over into such a core from the next one.
    """

    tiles: tuple[Tile, ...]
    _known: frozenset[Tile] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", frozenset(self.tiles))

    def needs(self, tile: Tile) -> list[Tile]:
        """Tiles whose maps must be stored before ``tile`` can be recognised, itself included."""
        return [near for near in tile.neighbourhood() if near in self._known]


def plan_tiles(lattice: Lattice, region: Region, config: TilesConfig, *, halo_px: int, seed: int = 0) -> TilePlan:
    """Tiles that the region needs, in the configured order.

    Parameters
    ----------
    lattice : Lattice
        Cores and blocks.
    region : Region
        Where cells are wanted, level-0 px.
    config : TilesConfig
        ``order`` is read.
    halo_px : int
        How far from its anchor a cell depends on the maps, grid px; at most the side of a core.
    seed : int
        Seed of the random order.

    Raises
    ------
    ConfigError
        The halo reaches beyond the neighbouring cores.
    """
    refuse_small_cores(lattice.core_px, halo_px)  # again: a slide may be up to 3 % finer than asked for
    tiles = lattice.tiles()
    near = touches(region, [lattice.core(tile).expand(halo_px) for tile in tiles], lattice.grid)
    chosen = [tile for tile, hit in zip(tiles, near, strict=True) if hit]
    if config.order == "random":
        return TilePlan(tuple(chosen[i] for i in np.random.default_rng(seed).permutation(len(chosen))))
    return TilePlan(tuple(_in_bands(chosen)))


def _in_bands(tiles: list[Tile]) -> list[Tile]:
    """Tiles two rows at a time, from left to right: the first has all its neighbours early, however wide the slide.

    No more maps wait for tiles than row by row.
    """
    first = min((tile.row for tile in tiles), default=0)
    return sorted(tiles, key=lambda tile: ((tile.row - first) // BAND_ROWS, tile.col, tile.row))


def refuse_small_cores(core_px: int, halo_px: int) -> None:
    """Raise ConfigError where the halo reaches beyond the neighbouring cores; both in grid px."""
    if halo_px > core_px:
        raise ConfigError(
            f"tiles.core_px={core_px} is less than the halo of {halo_px} px; take larger cores, "
            "or a smaller labels.max_diameter_um (pseudolabels.max_diameter_um with the pseudo mask) or cells.expand_um"
        )


def needed_blocks(lattice: Lattice, tile: Tile, region: Region, *, halo_px: int) -> list[Box]:
    """Blocks of a tile within the halo of the region, grid px, in row-major order.

    Parameters
    ----------
    lattice : Lattice
        Cores and blocks of the grid.
    tile : Tile
        Whose blocks.
    region : Region
        Where cells are sought.
    halo_px : int
        Grid px.
    """
    blocks = lattice.blocks(tile)
    whole = lattice.grid.box
    hits = touches(region, [block.intersect(whole).expand(halo_px) for block in blocks], lattice.grid)
    return [block for block, hit in zip(blocks, hits, strict=True) if hit]


def touches(region: Region, boxes: list[Box], grid: Grid) -> npt.NDArray[np.bool_]:
    """Which boxes (grid px) touch the region; (N,) bool.

    Parameters
    ----------
    region : Region
        Level-0 px.
    boxes : list of Box
        Grid px.
    grid : Grid
        Of the boxes.
    """
    if not boxes:
        return np.zeros(0, bool)
    corners = np.array([(box.x0, box.y0, box.x1, box.y1) for box in boxes], np.float64)
    return region.touches(corners * grid.downsample)
