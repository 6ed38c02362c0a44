"""The table of cells that all exports take, and the identity of a cell."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from wsipsm.cells.measurements import Measurement, measurements
from wsipsm.cells.outlines import Rings
from wsipsm.core.geometry import Grid

_UUID_ROOT = uuid.uuid5(uuid.NAMESPACE_DNS, "wsipsm")


@dataclass(frozen=True, slots=True)
class Cells:
    """N cells.

    Attributes
    ----------
    anchor : (N,) int64
        Linear grid index ``y * grid.width + x`` of the cell's first pixel in scan order: its identity on the slide,
        from which its UUID is made.
    vertices_l0 : (V, 2) float64
        Closed exterior rings, one a cell, (x, y) in level-0 px.
    ring_offsets : (N + 1,) int64
        Ring ``i`` is ``vertices_l0[ring_offsets[i]:ring_offsets[i + 1]]``.
    centroid_l0 : (N, 2) float64
        Centre of gravity of the pixels, (x, y) in level-0 px.
    columns : dict of (N,) float32
        Measurements by name, see `wsipsm.cells.measurements.measurements`; all finite.
    class_ : (N,) uint8
        Index into the names of `wsipsm.cells.classes.CLASSES`.
    whole_l0 : Rings or None
        Outlines of whole cells as ``vertices_l0``, where the run grew its nuclei (``cells.expand_um``).
    """

    anchor: npt.NDArray[np.int64]
    vertices_l0: npt.NDArray[np.float64]
    ring_offsets: npt.NDArray[np.int64]
    centroid_l0: npt.NDArray[np.float64]
    columns: dict[str, npt.NDArray[np.float32]]
    class_: npt.NDArray[np.uint8]
    whole_l0: Rings | None = None

    def __len__(self) -> int:
        return len(self.anchor)

    def take(self, index: npt.NDArray[Any]) -> Cells:
        """Cells of an integer or boolean index, in its order."""
        rings = self.outlines_l0.take(index)
        return Cells(
            anchor=self.anchor[index],
            vertices_l0=rings.vertices,
            ring_offsets=rings.offsets,
            centroid_l0=self.centroid_l0[index],
            columns={name: values[index] for name, values in self.columns.items()},
            class_=self.class_[index],
            whole_l0=None if self.whole_l0 is None else self.whole_l0.take(index),
        )

    def part(self, where: slice) -> Cells:
        """Cells of a slice without a step; the arrays are views."""
        rings = self.outlines_l0.part(where)
        return Cells(
            anchor=self.anchor[where],
            vertices_l0=rings.vertices,
            ring_offsets=rings.offsets,
            centroid_l0=self.centroid_l0[where],
            columns={name: values[where] for name, values in self.columns.items()},
            class_=self.class_[where],
            whole_l0=None if self.whole_l0 is None else self.whole_l0.part(where),
        )

    def moved(self, origin_l0: tuple[int, int]) -> Cells:
        """Cells in a frame whose origin (x, y) is there."""
        return replace(
            self,
            vertices_l0=self.vertices_l0 - origin_l0,
            centroid_l0=self.centroid_l0 - origin_l0,
            whole_l0=None if self.whole_l0 is None else self.whole_l0.shifted(-origin_l0[0], -origin_l0[1]),
        )

    @property
    def outlines_l0(self) -> Rings:
        """Outlines of the nuclei."""
        return Rings(self.vertices_l0, self.ring_offsets)

    @property
    def outer_l0(self) -> Rings:
        """Outlines of whole cells where there are some, else those of the nuclei."""
        return self.outlines_l0 if self.whole_l0 is None else self.whole_l0

    def polygons(self) -> npt.NDArray[np.object_]:
        """Shapely polygons in level-0 px; (N,)."""
        return self.outlines_l0.polygons()


def measurements_of(cells: Cells, stain: str) -> dict[str, Measurement]:
    """How the columns of cells of a stain are written, in the order of the exports."""
    written = measurements(stain, whole=cells.whole_l0 is not None)
    return {key: one for key, one in written.items() if key in cells.columns}


def cell_uuids(fingerprint: str, grid: Grid, anchors: npt.NDArray[np.int64]) -> list[str]:
    """UUIDs of cells (version 5, RFC 9562 section 5.5), from the slide's content and the place of each cell alone.

    A cell that begins at the same grid pixel has the same UUID in every export and in every run, whatever region,
    folder, size of tiles or smallest area that run had; no two cells of one run share one.

    Parameters
    ----------
    fingerprint : str
        Of the slide, see `Slide.fingerprint`; the name and the folder of its file do not enter.
    grid : Grid
        The working plane; its ``downsample`` enters, as what lies where on level 0 follows from it.
    anchors : (N,) int64
        Linear grid indices as in `Cells.anchor`.

    Examples
    --------
    >>> grid = Grid(100, 50, 2.0, 0.5)
    >>> cell_uuids("a", grid, np.array([203]))
    ['a1c23ab4-b51f-5f33-a9c2-0edfc9ac862c']
    >>> cell_uuids("a", grid, np.array([203])) == cell_uuids("b", grid, np.array([203]))
    False
    """
    plane = uuid.uuid5(_UUID_ROOT, f"{fingerprint}/{grid.downsample}")
    rows, columns = np.divmod(anchors, grid.width)
    names = [b"%d/%d" % place for place in zip(columns.tolist(), rows.tolist(), strict=True)]
    hashes = b"".join([hashlib.sha1(plane.bytes + name, usedforsecurity=False).digest()[:16] for name in names])
    return _uuid_texts(np.frombuffer(hashes, np.uint8).reshape(-1, 16).copy())


def _uuid_texts(hashes: npt.NDArray[np.uint8]) -> list[str]:
    """UUIDs of version 5 of (N, 16) hashes, which are changed; as ``uuid.UUID`` writes them, but all at once."""
    hashes[:, 6] = hashes[:, 6] & 0x0F | 0x50
    hashes[:, 8] = hashes[:, 8] & 0x3F | 0x80
    digits = np.frombuffer(hashes.tobytes().hex().encode(), np.uint8).reshape(-1, 32)
    text = np.full((len(hashes), 36), ord("-"), np.uint8)
    text[:, [i for i in range(36) if i not in (8, 13, 18, 23)]] = digits
    joined = text.tobytes().decode("ascii")
    return [joined[start : start + 36] for start in range(0, len(joined), 36)]
