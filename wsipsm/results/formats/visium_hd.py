"""Chosen cells as the segmentation that Space Ranger takes for Visium HD: whole cells where the run grew them.

The form, from the documents and the source of Space Ranger 4 (``--custom-segmentation-file``):

- https://www.10xgenomics.com/support/software/space-ranger/latest/analysis/inputs/segmentation-inputs: polygons in a
  GeoJSON of type FeatureCollection, in pixels of the microscope image that is given with ``--image``;
  ``--nucleus-expansion-distance-micron`` must be given too, 0 where the outlines are those of whole cells.
- github.com/10XGenomics/spaceranger: the name ends with ``.geojson``, not ``.gz``; the collection has the keys ``type``
  and ``features`` and no other (``bbox`` and ``foreign_members`` are tolerated); each feature has ``type``,
  ``geometry`` (a Polygon) and ``properties`` with a whole number ``cell_id`` from 1 on.

bin2cell takes no polygons: export a label image (``--to ome-tiff --mpp X``) at the resolution of its image, and store
it as ``scipy.sparse.csr_matrix`` for ``bin2cell.insert_labels``. What Space Ranger makes of this file, its
``segmented_outputs``, bin2cell and spatialdata-io read themselves.
"""

from __future__ import annotations

from pathlib import Path

from wsipsm.results.export_source import ExportSource
from wsipsm.results.formats.feature_file import FeatureFile
from wsipsm.results.formats.features import polygon_features


class VisiumHd:
    """GeoJSON of outlines with ``cell_id``, the label.

    Parameters
    ----------
    target : Path
        ``.geojson``.
    source : ExportSource
        The slide.
    """

    def __init__(self, target: Path, source: ExportSource) -> None:
        self._target, self._source = target, source

    def write(self) -> list[Path]:
        """Write the file; errors as `export`."""
        with FeatureFile(self._target) as file:
            for cells, labels, _ in self._source.cells():
                for text in polygon_features(cells, labels, self._source.offset_l0):
                    file.add(text)
        return [self._target]
