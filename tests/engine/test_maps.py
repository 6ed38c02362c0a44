"""The stored maps of a slide against the plane in memory, and against an LZ4 decoder of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wsipsm.core.errors import OutputError
from wsipsm.core.geometry import Box, Grid
from wsipsm.engine.maps import Maps, is_mapped, read_status, read_window, write_core, write_status


def maps_of(folder: Path, width: int, height: int, core_px: int = 160) -> Maps:
    folder.mkdir()
    return Maps(folder, Grid(width, height, 1.0, 0.5), core_px, channels=3)


def some_maps(height: int, width: int) -> npt.NDArray[np.uint8]:
    """Noise, and squares without any."""
    plane = np.random.default_rng(0).integers(0, 256, (3, height, width), dtype=np.uint8)
    plane[:, :130, :130] = 0
    return plane


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 500),
    height=st.integers(1, 500),
    core_px=st.sampled_from([96, 128, 160, 300]),
    x0=st.integers(-120, 510),
    y0=st.integers(-120, 510),
    side=st.tuples(st.integers(0, 350), st.integers(0, 350)),
)
def test_a_window_of_the_maps_is_that_of_the_zero_padded_plane(
    tmp_path_factory: pytest.TempPathFactory,
    width: int,
    height: int,
    core_px: int,
    x0: int,
    y0: int,
    side: tuple[int, int],
) -> None:
    maps, plane = maps_of(tmp_path_factory.mktemp("out") / "maps", width, height, core_px), some_maps(height, width)
    for core in maps.cores(maps.grid.box):
        write_core(maps, core, plane[:, *core.slices])

    window = read_window(maps, Box(x0, y0, x0 + side[0], y0 + side[1]))

    padded = np.pad(plane, ((0, 0), (120, 900), (120, 900)))
    expected = padded[:, y0 + 120 : y0 + 120 + side[1], x0 + 120 : x0 + 120 + side[0]]
    np.testing.assert_array_equal(window, expected, strict=True)


def test_a_core_is_one_file_of_squares_that_others_can_read(tmp_path: Path) -> None:
    maps, plane = maps_of(tmp_path / "maps", 500, 160), some_maps(160, 160)

    write_core(maps, Box(160, 0, 320, 160), plane)

    (file,) = maps.folder.iterdir()
    content, lz4 = file.read_bytes(), pyarrow.Codec("lz4_raw")
    lengths = np.frombuffer(content[:16], "<u4")
    squares = [plane[:, :128, :128], plane[:, :128, 128:], plane[:, 128:, :128], plane[:, 128:, 128:]]
    assert file.name == "00000_00001"
    assert lengths[0] == 0, "all zero"
    assert sum(lengths) == len(content) - 16
    for number, (square, length) in enumerate(zip(squares, lengths, strict=True)):
        start = 16 + int(lengths[:number].sum())
        if length:
            assert lz4.decompress(content[start : start + length], square.size).to_pybytes() == square.tobytes()


def test_a_core_that_is_all_zero_has_no_file(tmp_path: Path) -> None:
    maps, core = maps_of(tmp_path / "maps", 160, 160), Box(0, 0, 160, 160)
    write_core(maps, core, some_maps(160, 160))

    write_core(maps, core, np.zeros((3, 160, 160), np.uint8))
    write_status(tmp_path / "status", maps, core, ())

    assert list(maps.folder.iterdir()) == []
    assert is_mapped(tmp_path / "status", maps, core)
    assert not read_window(maps, core).any()


def test_a_core_counts_as_mapped_while_its_file_is_whole_and_lacks_no_block(tmp_path: Path) -> None:
    maps, core, status = maps_of(tmp_path / "maps", 160, 160), Box(0, 0, 160, 160), tmp_path / "status"
    write_core(maps, core, some_maps(160, 160))
    assert not is_mapped(status, maps, core)

    write_status(status, maps, core, (Box(0, 0, 32, 32),))
    lacking = is_mapped(status, maps, core)
    write_status(status, maps, core, ())
    whole = is_mapped(status, maps, core)
    maps.file(core).write_bytes(maps.file(core).read_bytes()[:-1])

    assert (lacking, whole, is_mapped(status, maps, core)) == (False, True, False)
    assert read_status(status) is not None


@pytest.mark.parametrize("damage", ["empty", "cut", "zeros", "short"])
def test_damaged_maps_are_said_and_not_taken_for_zeros(tmp_path: Path, damage: str) -> None:
    maps, core = maps_of(tmp_path / "maps", 160, 160), Box(0, 0, 160, 160)
    write_core(maps, core, some_maps(160, 160))
    file = maps.file(core)
    whole = file.read_bytes()
    damaged = {
        "empty": b"",
        "cut": whole[:-100],
        "zeros": whole[:16] + bytes(len(whole) - 16),
        "short": whole[:10],
    }
    file.write_bytes(damaged[damage])

    with pytest.raises(OutputError, match=r"00000_00000: damaged maps of a tile .*delete it and run again"):
        read_window(maps, core)


def test_maps_are_not_written_where_the_scratch_is_gone(tmp_path: Path) -> None:
    """A worker that was taken for lost does not bring it back."""
    maps = Maps(tmp_path / "gone" / "maps", Grid(160, 160, 1.0, 0.5), 160, channels=3)

    with pytest.raises(OutputError, match="cannot be written"):
        write_core(maps, Box(0, 0, 160, 160), some_maps(160, 160))

    assert list(tmp_path.iterdir()) == []
