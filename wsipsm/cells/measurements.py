"""What is measured of a cell, and what it is called in tables and in QuPath."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from wsipsm.stain.registry import STAINS

WHOLE_PARTS = ("cell", "cytoplasm")
"""Parts of a whole cell beside its nucleus; columns of theirs begin with them."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """How a measurement is written.

    Attributes
    ----------
    column : str
        In tables.
    title : str
        In QuPath, of detections.
    decimals : int
        In QuPath.
    of_cell : str
        In QuPath, of objects that are cells; where empty, ``title``.
    added : bool
        Whether tables of earlier versions lack it.
    """

    column: str
    title: str
    decimals: int = 4
    of_cell: str = ""
    added: bool = False

    def name(self, object_type: str) -> str:
        """Name in QuPath on objects of a type."""
        return self.of_cell or self.title if object_type == "cell" else self.title


def measurements(stain: str, *, whole: bool = False) -> dict[str, Measurement]:
    """How each column of :class:`wsipsm.cells.table.Cells` is written, in the order of the exports.

    Parameters
    ----------
    stain : str
        ``recognizer.stain`` of the run.
    whole : bool
        Whether the run grew whole cells.

    Examples
    --------
    >>> measurements("unknown")["nuclear_od_mean"]
    Measurement(column='stain_1_od_mean', title='Nucleus: Stain 1 OD mean', decimals=4, of_cell='', added=False)
    >>> measurements("he", whole=True)["cell_area_um2"].title
    'Cell: Area'
    """
    named = STAINS[stain]
    written = _shape("Nucleus")
    for key, density in (("nuclear", named.nuclear), ("counterstain", named.counterstain)):
        written[f"{key}_od_mean"] = _density(density, "mean")
        written[f"{key}_od_std"] = _density(density, "std")
    if named.marker:
        written |= {
            "nuclear_od_core": _density(named.nuclear, "core"),
            "counterstain_od_core": _density(named.counterstain, "core"),
            "counterstain_od_ring": _density(named.counterstain, "ring"),
        }
    if whole:
        written |= _whole(named.nuclear, named.counterstain)
    return written | {"confidence": Measurement("confidence", "Confidence")}


def stored_measurements(stain: str, columns: Collection[str], *, whole: bool) -> dict[str, Measurement]:
    """Those of `measurements` that a table with these columns can hold: earlier versions did not write all of them.

    Parameters
    ----------
    stain, whole
        As of `measurements`.
    columns : collection of str
        Columns of the table.
    """
    return {key: one for key, one in measurements(stain, whole=whole).items() if not one.added or one.column in columns}


def _shape(part: str) -> dict[str, Measurement]:
    """Shape of a nucleus, whose titles are plain, or of a whole cell."""
    plain, column = part == "Nucleus", "" if part == "Nucleus" else f"{part.lower()}_"
    rows = (
        ("area_um2", "Area µm^2", "Area", 2, False),
        ("perimeter_um", "Perimeter µm", "Perimeter", 2, False),
        ("circularity", "Circularity", "Circularity", 4, True),
        ("max_diameter_um", "Max diameter µm", "Max diameter µm", 2, True),
        ("min_diameter_um", "Min diameter µm", "Min diameter µm", 2, True),
        ("eccentricity", "Eccentricity", "Eccentricity", 4, False),
        ("solidity", "Solidity", "Solidity", 4, False),
    )
    return {
        column + name: Measurement(
            column + name, title if plain else f"{part}: {own}", decimals, f"{part}: {own}", added and plain
        )
        for name, title, own, decimals, added in rows
    }


def _whole(nuclear: str, counterstain: str) -> dict[str, Measurement]:
    """Whole cells: shape, densities of cell and cytoplasm, and the share of the nucleus."""
    written = _shape("Cell")
    for part in WHOLE_PARTS:
        for key, stain in (("nuclear", nuclear), ("counterstain", counterstain)):
            for kind in ("mean", "std"):
                one = _density(stain, kind)
                title = f"{part.capitalize()}{one.title.removeprefix('Nucleus')}"
                written[f"{part}_{key}_od_{kind}"] = Measurement(f"{part}_{one.column}", title)
    return written | {"nucleus_cell_ratio": Measurement("nucleus_cell_ratio", "Nucleus/Cell area ratio")}


def _density(stain: str, where: str) -> Measurement:
    """Mean and deviation of a density over a nucleus, and its mean over a nucleus' core, or the ring around it."""
    titles = {
        "mean": f"Nucleus: {stain} OD mean",
        "std": f"Nucleus: {stain} OD std dev",
        "core": f"Nucleus: {stain} OD core",
        "ring": f"Ring: {stain} OD mean",
    }
    return Measurement(f"{stain.lower().replace(' ', '_')}_od_{where}", titles[where], added=where == "std")


COLUMNS = tuple(measurements("he"))
"""Names of the columns of cells without a marker, in the order of the exports."""
