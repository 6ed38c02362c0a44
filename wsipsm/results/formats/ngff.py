"""Labels as OME-NGFF 0.4 on Zarr v2, for viewers that do not read Zarr v3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import zarr

from wsipsm.core.files import appearing_folder
from wsipsm.results.export_source import ExportSource
from wsipsm.results.formats.label_image import LabelPlane, boxes_of
from wsipsm.results.formats.ome_zarr import LABEL_COLORS, multiscale

CHUNK_PX = 1024
"""Side of a chunk, which is a file; where there is no cell there is no file."""


class NgffLabels:
    """Label image of 32 bits with its pyramid; a chunk is held in memory at a time.

    Parameters
    ----------
    target : Path
        ``.ome.zarr`` or ``.zarr``, a new folder.
    source : ExportSource
        The slide.
    """

    def __init__(self, target: Path, source: ExportSource) -> None:
        self._target, self._plane = target, LabelPlane(source)
        self._offset_um = [
            start * self._plane.mpp - offset * source.mpp_l0
            for start, offset in zip((self._plane.box.y0, self._plane.box.x0), source.offset_l0[::-1], strict=True)
        ]

    def write(self) -> list[Path]:
        """Write the folder; errors as `export`."""
        with appearing_folder(self._target) as folder:
            root = zarr.create_group(str(folder), zarr_format=2, overwrite=True, attributes=self._metadata())
            compressor = {"id": "blosc", "cname": "zstd", "clevel": 3, "shuffle": 2}
            write_levels(root, self._plane, compressors=compressor, chunk_key_encoding={"name": "v2", "separator": "/"})
        return [self._target]

    def _metadata(self) -> dict[str, Any]:
        image = multiscale("instances", self._plane.mpp, len(self._plane.shapes), self._offset_um)
        colors = {"version": "0.4", "colors": LABEL_COLORS["instances"]}
        return {"multiscales": [{"version": "0.4"} | image], "image-label": colors}


def write_levels(group: zarr.Group, plane: LabelPlane, **how: Any) -> None:
    """Write the pyramid of a plane of labels, chunk by chunk, as the arrays ``0``, ``1`` and so on of a group.

    Parameters
    ----------
    group : zarr.Group
        Open for writing.
    plane : LabelPlane
        The labels.
    **how
        Goes to ``create_array``.
    """
    for level, shape in enumerate(plane.shapes):
        chunks = (CHUNK_PX, CHUNK_PX)
        array = group.create_array(str(level), shape=shape, dtype="uint32", chunks=chunks, fill_value=0, **how)
        for box in boxes_of(shape, CHUNK_PX):
            labels = plane.read(box, 2**level)
            if labels.any():
                array[box.slices] = labels
