"""Micrometres per pixel of a slide: what its metadata claim, and which claim is accepted."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wsipsm.core.errors import ResolutionError

MIN_MPP, MAX_MPP = 0.05, 20.0
_MAX_ANISOTROPY = 0.02
_ADVICE = "give the right value with --slide-mpp (0.25 for most 40x scans, 0.5 for 20x) or in the manifest's mpp column"

_UM_PER_UNIT = {"inch": 25_400.0, "centimeter": 10_000.0, "cm": 10_000.0, "mm": 1_000.0, "nm": 1e-3}
_UM_PER_UNIT |= dict.fromkeys(("um", "\u00b5m", "\u03bcm", "micron", "microns", "\\u00B5m"), 1.0)


@dataclass(frozen=True, slots=True)
class Claim:
    """Pixel size that one entry of the metadata claims, um/px; None where it claims nothing."""

    source: str
    x: float | None
    y: float | None


@dataclass(frozen=True, slots=True)
class Resolution:
    """Accepted pixel size, um/px, and the entry that claims it; where the user overrode another, that other."""

    mpp: float
    source: str
    overruled: Resolution | None = None


def resolve(path: Path, claims: Iterable[Claim], override: float | None) -> Resolution:
    """Pixel size of a slide: the override, else that of the first claim that is not empty.

    Parameters
    ----------
    path : Path
        The slide, for messages.
    claims : iterable of Claim
        Most trusted first. The first that is not empty decides: if it is not believable, no later one replaces it.
    override : float or None
        Micrometres per pixel given by the user, > 0; not checked further.

    Raises
    ------
    ResolutionError
        Nothing claimed, a claim outside 0.05..20 um/px, or pixels that are not square (2 %).
    """
    if override is not None:
        if not (math.isfinite(override) and override > 0):
            raise ResolutionError(f"{path}: --slide-mpp must be a positive number of um per pixel, got {override}")
        return Resolution(float(override), "override", _first_believable(path, claims))
    for claim in claims:
        found = [value for value in (claim.x, claim.y) if value is not None]
        if found:
            return Resolution(_believed(path, claim.source, found), claim.source)
    raise ResolutionError(f"{path}: its metadata give no micrometres per pixel; {_ADVICE}")


def _first_believable(path: Path, claims: Iterable[Claim]) -> Resolution | None:
    try:
        return resolve(path, claims, None)
    except ResolutionError:
        return None


def _believed(path: Path, source: str, found: list[float]) -> float:
    for value in found:
        if not MIN_MPP <= value <= MAX_MPP:
            raise ResolutionError(
                f"{path}: {source} claims {value:.4g} um per pixel, "
                f"outside the believable {MIN_MPP}..{MAX_MPP:g}; {_ADVICE}"
            )
    mpp = sum(found) / len(found)
    if max(found) - min(found) > _MAX_ANISOTROPY * mpp:
        raise ResolutionError(
            f"{path}: {source} claims pixels of {found[0]:.4g} x {found[1]:.4g} um, not square; {_ADVICE}"
        )
    return mpp


def number(text: object) -> float | None:
    """Number in a metadata entry, with decimal comma too; None if it is not a finite number.

    Examples
    --------
    >>> number("0,4990"), number("n/a"), number(None)
    (0.499, None, None)
    """
    try:
        value = float(str(text).replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def per_unit(source: str, x: float | None, y: float | None, unit: str) -> Claim:
    """Claim of two resolutions in pixels per unit; empty for zero and for unknown units.

    Parameters
    ----------
    source : str
        Name of the property or tag.
    x, y : float or None
        Pixels per unit.
    unit : str
        Such as ``centimeter``.

    Examples
    --------
    >>> per_unit("tiff.XResolution", 40000, 40000, "centimeter")
    Claim(source='tiff.XResolution', x=0.25, y=0.25)
    """
    um = _UM_PER_UNIT.get(unit)
    return Claim(source, *(um / value if um and value else None for value in (x, y)))


def ome_claim(description: str) -> Claim:
    """Claim of an OME-XML image description (its first ``Pixels`` element).

    Examples
    --------
    >>> ome_claim('<OME><Image><Pixels PhysicalSizeX="250" PhysicalSizeXUnit="nm"/></Image></OME>')
    Claim(source='ome.PhysicalSizeX', x=0.25, y=None)
    """
    element = re.search(r"<(?:\w+:)?Pixels\s[^>]*>", description)
    attributes = dict(re.findall(r'(\w+)="([^"]*)"', element.group())) if element else {}

    def size(axis: str) -> float | None:
        value = number(attributes.get(f"PhysicalSize{axis}"))
        um = _UM_PER_UNIT.get(attributes.get(f"PhysicalSize{axis}Unit", "um"))
        return value * um if value is not None and um else None

    return Claim("ome.PhysicalSizeX", size("X"), size("Y"))


def imagej_claim(description: str, x: float | None, y: float | None) -> Claim:
    """Claim of an ImageJ TIFF, which keeps its unit in the description and pixels per unit in the resolution tags.

    Parameters
    ----------
    description : str
        Of the TIFF.
    x, y : float or None
        Pixels per unit.
    """
    unit = re.search(r"^unit=(.+?)\s*$", description, re.MULTILINE) if description.startswith("ImageJ=") else None
    return per_unit("imagej.unit", x, y, unit.group(1) if unit else "")
