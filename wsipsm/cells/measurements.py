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
    Measurement(column='stain_1_od_mean', title='Stain 1 OD mean', decimals=4)
    """
    named = STAINS[stain]
    return {
        "area_um2": Measurement("area_um2", "Area µm^2", decimals=2),
        "perimeter_um": Measurement("perimeter_um", "Perimeter µm", decimals=2),
        "eccentricity": Measurement("eccentricity", "Eccentricity"),
        "solidity": Measurement("solidity", "Solidity"),
        "nuclear_od_mean": _mean_density(named.nuclear),
        "counterstain_od_mean": _mean_density(named.counterstain),
        "confidence": Measurement("confidence", "Confidence"),
    }


def _mean_density(stain: str) -> Measurement:
    return Measurement(f"{stain.lower().replace(' ', '_')}_od_mean", f"{stain} OD mean")


COLUMNS = tuple(measurements("he"))
"""Names of all columns, in the order of the exports."""
