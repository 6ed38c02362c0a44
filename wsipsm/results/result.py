"""One slide's results, as Python objects: cells, labels, pictures and the record of the run.

Every run makes a `Result` for each slide: libraries are imported where they are used.
"""

from __future__ import annotations

import html
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from wsipsm.core.errors import ExtraError, OutputError
from wsipsm.core.geometry import Box
from wsipsm.core.words import as_called

if TYPE_CHECKING:
    import geopandas
    import pyarrow as pa
    import pyarrow.compute as pc
    import zarr
    from PIL import Image as PillowImage

    from wsipsm.slide import Slide


class Result:
    """Results of one slide, read from its output folder when they are asked for.

    Made by `wsipsm.run` and `wsipsm.open_result`. In a notebook it shows itself as the overview and its figures.

    Parameters
    ----------
    folder : Path
        The slide's output folder.
    status : str
        How the slide ended, see `status`; by default what ``run.json`` says.
    error : str
        Why the slide or some of its tiles failed; else empty.

    Examples
    --------
    >>> result = wsipsm.open_result("out/slide")  # doctest: +SKIP
    >>> result.cells.area_um2.median()  # doctest: +SKIP
    34.6
    """

    def __init__(self, folder: str | Path, *, status: str = "", error: str = "") -> None:
        self.folder, self.error, self._status = Path(folder), error, status

    def __repr__(self) -> str:
        folder = self.folder.relative_to(Path.cwd()) if self.folder.is_relative_to(Path.cwd()) else self.folder
        return f"Result({str(folder)!r}, {self.status}, {self.summary})"

    def _repr_html_(self) -> str:
        lines = [f"<b>{html.escape(self.name)}</b>: {html.escape(self.summary)}"]
        lines += [f"<br>{html.escape(warning)}" for warning in self.warnings]
        if (self.folder / "overview.png").is_file():
            from wsipsm.results.html import small_picture

            lines.append("<br>" + small_picture(self.overview, caption="overview"))
        return "<div>" + "".join(lines) + "</div>"

    @property
    def name(self) -> str:
        """Name of the slide's folder."""
        return self.folder.name

    @cached_property
    def record(self) -> dict[str, Any]:
        """Content of ``run.json``: configuration, versions, fingerprints, counts, seconds.

        Raises
        ------
        OutputError
            The slide has no results, or the file is damaged.
        """
        path = self.folder / "run.json"
        try:
            table = orjson.loads(path.read_bytes())
        except FileNotFoundError:
            raise self._missing() from None
        except (OSError, ValueError) as error:
            raise OutputError(f"{path}: cannot be read: {error}") from None
        if not isinstance(table, dict):
            raise OutputError(f"{path}: expected the record of a run, got {type(table).__name__}")
        return table

    def _missing(self) -> OutputError:
        return OutputError(f"{self.folder}: no results here{f' ({self.error})' if self.error else ''}")

    @property
    def status(self) -> str:
        """``done``, ``empty`` (no tissue), ``partial`` (some tiles failed), or ``failed`` (no results)."""
        return self._status or str(self.record["status"])

    @property
    def count(self) -> int:
        """Number of cells."""
        return int(self.record["counts"]["cells"])

    @property
    def summary(self) -> str:
        """One line: cells and area, or why there are none."""
        if self.status == "failed":
            return f"failed: {self.error}"
        return f"{self.count:,} cells in {self.record['counts']['mm2']:.2f} mm²"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the results must know, in sentences; empty where all is well."""
        if self.status == "failed":
            return (self.error,)
        counts, said = self.record["counts"], [str(warning) for warning in self.record.get("warnings", [])]
        if self.status == "empty" and not said:
            said.append("no tissue was found: no cells")
        if failed := self.record.get("failed_tiles"):
            said.append(f"{len(failed)} of {counts['tiles']} tiles failed in part or whole: cells are missing there")
        if counts.get("cells_dropped"):
            said.append(f"{counts['cells_dropped']} cells without a valid outline were left out")
        return tuple(map(as_called, said))

    @property
    def index(self) -> dict[str, Any] | None:
        """Figures of the ``slide`` and its ``hot_spots``; None where cells have no classes. See `wsipsm.index`."""
        found: dict[str, Any] | None = self.record.get("index")
        return found

    def table(self, columns: list[str] | None = None, *, box_l0: Box | None = None) -> pa.Table:
        """Cells as an Arrow table, a row a cell; see ``cells.parquet`` in the documentation for its columns.

        Parameters
        ----------
        columns : list of str, optional
            Which columns; by default all.
        box_l0 : Box, optional
            Only cells whose bounds meet this box, level-0 px.

        Returns
        -------
        pyarrow.Table

        Raises
        ------
        OutputError
            The table is missing or damaged, or has no such column.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        path = self.folder / "cells.parquet"
        if not path.exists():
            raise self._missing()
        try:
            return pq.read_table(path, columns=columns, filters=None if box_l0 is None else _meets(box_l0))
        except (OSError, ValueError, LookupError, pa.ArrowException) as error:
            raise OutputError(f"{path}: cannot be read: {' '.join(str(error).split())[:160]}") from None

    @property
    def cells(self) -> geopandas.GeoDataFrame:
        """Cells as a GeoDataFrame: outlines in level-0 px (whole cells: ``cell_geometry``), measurements, class.

        Raises
        ------
        ExtraError
            geopandas is not installed; `table` does without it.
        OutputError
            The table is missing.
        """
        try:
            from geopandas import GeoDataFrame, GeoSeries
        except ImportError:
            raise ExtraError("notebooks", "geopandas", "Result.table() gives the cells as an Arrow table") from None
        table = self.table()
        outlines = [name for name in ("geometry", "cell_geometry") if name in table.column_names]
        series = {name: GeoSeries.from_wkb(table[name].to_numpy()) for name in outlines}
        frame = table.drop_columns([*outlines, "bbox"]).to_pandas()
        return GeoDataFrame(frame.assign(**series), geometry="geometry")

    @property
    def labels(self) -> zarr.Array[Any]:
        """Label image of the cells: int32 (y, x) at the working resolution, 0 is background; read as it is indexed.

        Its values are the column ``label``. ``dask.array.from_zarr(result.labels)`` makes it a Dask array.

        Raises
        ------
        OutputError
            The store is missing or damaged.
        """
        from wsipsm.results.formats.ome_zarr import open_labels

        return open_labels(self.folder / "labels.ome.zarr")

    @property
    def overview(self) -> PillowImage.Image:
        """Picture of the slide, its density of cells and two close-ups.

        Raises
        ------
        OutputError
            The picture is missing.
        """
        from PIL import Image as PillowImage

        path = self.folder / "overview.png"
        try:
            with PillowImage.open(path) as picture:
                return picture.copy()
        except OSError as error:
            raise OutputError(f"{path}: cannot be read: {error}") from None

    def open_slide(self, path: str | Path | None = None) -> Slide:
        """Open the slide of these results, at another place if it was moved; errors as `wsipsm.open_slide`."""
        from wsipsm.slide import open_slide

        facts = self.record["slide"]
        override = facts["mpp_l0"] if facts["mpp_source"] == "override" else None
        return open_slide(path or facts["path"], mpp=override)

    def overlay(
        self,
        region_l0: Box | tuple[int, int, int, int],
        *,
        mpp: float | None = None,
        zoom: int = 1,
        slide: str | Path | None = None,
    ) -> PillowImage.Image:
        """Pixels of a region with the outlines of its cells, in the colours of their classes; plain nuclei are green.

        Parameters
        ----------
        region_l0 : Box or (x0, y0, x1, y1)
            Level-0 px; what lies outside the slide is cut off.
        mpp : float, optional
            Micrometres per pixel that is read; by default the finest that keeps the picture's longer side within
            2048 px.
        zoom : int
            Pixels of the picture, along each side, for one that is read: outlines of a small region are thin then.
        slide : path, optional
            The slide's file, where it is no longer where the run found it.

        Returns
        -------
        PIL.Image.Image
            RGB.

        Raises
        ------
        RegionError
            The region is empty, lies outside the slide, or makes too large a picture.
        SlideError, OutputError
            Slide or results cannot be read.
        """
        from wsipsm.results.overlay import overlay

        with self.open_slide(slide) as opened:
            return overlay(opened, lambda box: self.table(["geometry", "class"], box_l0=box), region_l0, mpp, zoom)


def open_result(folder: str | Path) -> Result:
    """Results of one slide, from its output folder (``OUT/<slide>``).

    Parameters
    ----------
    folder : path
        With a ``run.json``.

    Returns
    -------
    Result
        Files are read when they are asked for.

    Raises
    ------
    OutputError
        It is no slide's folder; where it is the output folder of a run, the slides in it are named.
    """
    folder = Path(folder)
    if not (folder / "run.json").is_file():
        below = sorted(path.parent.name for path in folder.glob("*/run.json"))
        hint = f"; it holds the folders {', '.join(below[:10])}" if below else ""
        raise OutputError(f"{folder}: expected the folder of one slide, with a run.json{hint}")
    return Result(folder)


def _meets(box: Box) -> pc.Expression:
    import pyarrow.compute as pc

    x0, y0, x1, y1 = (pc.field("bbox", name) for name in ("xmin", "ymin", "xmax", "ymax"))
    return (x0 < box.x1) & (x1 > box.x0) & (y0 < box.y1) & (y1 > box.y0)
