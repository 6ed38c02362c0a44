from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from wsipsm.config import TilesConfig
from wsipsm.core.errors import ConfigError
from wsipsm.core.geometry import Box, Grid
from wsipsm.tissue.region import Region
from wsipsm.tissue.tiles import Lattice, Tile, needed_blocks, plan_tiles


def region_of(*boxes: tuple[float, float, float, float]) -> Region:
    return Region(shapely.MultiPolygon([shapely.box(*box) for box in boxes]))


@st.composite
def lattices(draw: st.DrawFn) -> Lattice:
    block = draw(st.sampled_from([4, 8]))
    core = block * draw(st.integers(1, 4))
    width, height = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    return Lattice(Grid(width, height, downsample=draw(st.sampled_from([1.0, 2.0, 1.7])), mpp=0.5), core, block)


@given(lattice=lattices())
def test_cores_partition_the_grid(lattice: Lattice) -> None:
    owners = np.zeros(lattice.grid.shape, int)

    for tile in lattice.tiles():
        owners[lattice.core(tile).slices] += 1

    assert (owners == 1).all()


@given(lattice=lattices())
def test_blocks_partition_every_core(lattice: Lattice) -> None:
    for tile in lattice.tiles():
        core = lattice.core(tile)
        owners = np.zeros(core.shape, int)
        for block in lattice.blocks(tile):
            assert block.x0 % lattice.block_px == block.y0 % lattice.block_px == 0
            owners[block.intersect(core).relative_to(core).slices] += 1
        assert (owners == 1).all()


def test_cores_smaller_than_a_block_share_it() -> None:
    lattice = Lattice(Grid(100, 70, 1.0, 0.5), 16, 32)

    assert lattice.blocks(Tile(3, 5)) == [Box(64, 32, 96, 64)]
    for tile in lattice.tiles():
        (block,) = lattice.blocks(tile)
        assert block.intersect(lattice.core(tile)) == lattice.core(tile)


@given(lattice=lattices(), halo=st.integers(0, 4), corner=st.tuples(st.floats(0, 60), st.floats(0, 60)))
def test_every_pixel_within_the_halo_of_the_region_is_mapped(
    lattice: Lattice, halo: int, corner: tuple[float, float]
) -> None:
    grid, (x, y) = lattice.grid, corner
    region = region_of((x * grid.downsample, y * grid.downsample, (x + 7) * grid.downsample, (y + 5) * grid.downsample))
    ys, xs = np.mgrid[: grid.height, : grid.width]
    # Oracle: the pixel square, widened by the halo, meets the box.
    near = (xs - halo <= x + 7) & (xs + 1 + halo >= x) & (ys - halo <= y + 5) & (ys + 1 + halo >= y)

    plan = plan_tiles(lattice, region, TilesConfig(core_px=256), halo_px=halo)

    mapped = np.zeros(grid.shape, bool)
    for tile in plan.tiles:
        for block in needed_blocks(lattice, tile, region, halo_px=halo):
            mapped[block.intersect(grid.box).slices] = True
    assert mapped[near].all()


@given(lattice=lattices(), halo=st.integers(0, 4))
def test_what_is_mapped_does_not_depend_on_the_size_of_cores(lattice: Lattice, halo: int) -> None:
    region = region_of((5, 5, 30, 18), (40, 44, 41, 45))
    one_core = Lattice(lattice.grid, lattice.block_px * 64, lattice.block_px)

    mapped = [
        {
            block
            for tile in plan_tiles(cut, region, TilesConfig(), halo_px=halo).tiles
            for block in needed_blocks(cut, tile, region, halo_px=halo)
        }
        for cut in (lattice, one_core)
    ]

    assert mapped[0] == mapped[1]


def test_a_random_order_holds_the_same_tiles() -> None:
    lattice = Lattice(Grid(3000, 2000, 1.0, 0.5), 256, 256)
    region = region_of((300, 300, 2500, 1500))

    row = plan_tiles(lattice, region, TilesConfig(core_px=256), halo_px=70)
    random = plan_tiles(lattice, region, TilesConfig(core_px=256, order="random"), halo_px=70)

    assert row.tiles != random.tiles
    assert sorted(row.tiles) == sorted(random.tiles)


def test_the_first_tiles_have_their_neighbours_early_however_wide_the_slide() -> None:
    lattice = Lattice(Grid(9000, 1300, 1.0, 0.5), 256, 256)

    plan = plan_tiles(lattice, region_of((0, 300, 9000, 1300)), TilesConfig(core_px=256), halo_px=0)

    assert [(tile.row, tile.col) for tile in plan.tiles[:4]] == [(1, 0), (2, 0), (1, 1), (2, 1)]
    assert set(plan.needs(plan.tiles[0])) == set(plan.tiles[:4])
    waiting, mapped = [], set[Tile]()
    for tile in plan.tiles:  # what is mapped and still needed, as tiles go on
        mapped.add(tile)
        found = {done for done in mapped if set(plan.needs(done)) <= mapped}
        waiting.append(sum(not set(plan.needs(done)) <= found for done in mapped))
    assert max(waiting) <= 2 * lattice.cols + 4


def test_a_tile_needs_the_planned_tiles_around_it() -> None:
    lattice = Lattice(Grid(30, 30, 1.0, 0.5), 10, 10)
    plan = plan_tiles(lattice, region_of((1, 1, 9, 2)), TilesConfig(), halo_px=3)

    assert plan.tiles == (Tile(0, 0), Tile(0, 1))
    assert plan.needs(Tile(0, 1)) == [Tile(0, 0), Tile(0, 1)]


def test_a_halo_beyond_the_next_core_is_refused() -> None:
    lattice = Lattice(Grid(30, 30, 1.0, 0.5), 10, 10)

    with pytest.raises(ConfigError, match="larger cores"):
        plan_tiles(lattice, region_of((1, 1, 9, 2)), TilesConfig(), halo_px=11)


@pytest.mark.parametrize(
    ("region", "expected"), [((31.0, 31.0, 32.0, 32.0), 0), ((11.0, 11.0, 12.0, 12.0), 1), ((0.0, 0.0, 30.0, 30.0), 9)]
)
def test_only_tiles_that_touch_the_region_are_planned(region: tuple[float, float, float, float], expected: int) -> None:
    lattice = Lattice(Grid(30, 30, 1.0, 0.5), 10, 10)

    assert len(plan_tiles(lattice, region_of(region), TilesConfig(), halo_px=0).tiles) == expected
