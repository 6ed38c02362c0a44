"""What is measured of a cell, and what it is called in tables and in QuPath."""

from __future__ import annotations

from dataclasses import dataclass

from wsipsm.stain.registry import STAINS


@dataclass(frozen=True, slots=True)
class Measurement:
    """How a measurement is written.

    Attributes
    ----------
    column : str
        In tables.
    title : str
        In QuPath.
    decimals : int
        In QuPath.
    """

    column: str
    title: str
    decimals: int = 4


def measurements(stain: str) -> dict[str, Measurement]:
    """How each column of :class:`wsipsm.cells.table.Cells` is written, in the order of the exports.

    Examples
    --------
    >>> measurements("unknown")["nuclear_od_mean"]
    Measurement(column='stain_1_od_mean', title='Nucleus: Stain 1 OD mean', decimals=4)
    """
    named = STAINS[stain]
    written = {
        "area_um2": Measurement("area_um2", "Area µm^2", decimals=2),
        "perimeter_um": Measurement("perimeter_um", "Perimeter µm", decimals=2),
        "eccentricity": Measurement("eccentricity", "Eccentricity"),
        "solidity": Measurement("solidity", "Solidity"),
        "nuclear_od_mean": _density(named.nuclear, "mean"),
        "counterstain_od_mean": _density(named.counterstain, "mean"),
    }
    if named.marker:
        written |= {
            "nuclear_od_core": _density(named.nuclear, "core"),
            "counterstain_od_core": _density(named.counterstain, "core"),
            "counterstain_od_ring": _density(named.counterstain, "ring"),
        }
    return written | {"confidence": Measurement("confidence", "Confidence")}


def _density(stain: str, where: str) -> Measurement:
    """Mean density over a nucleus, over its core, or over the ring around it."""
    titles = {
        "mean": f"Nucleus: {stain} OD mean",
        "core": f"Nucleus: {stain} OD core",
        "ring": f"Ring: {stain} OD mean",
    }
    return Measurement(f"{stain.lower().replace(' ', '_')}_od_{where}", titles[where])


COLUMNS = tuple(measurements("he"))
"""Names of the columns of cells without a marker, in the order of the exports."""
