"""Stain vectors of a slide with a nuclear stain and a chromogen, as far as the slide shows both.

In the plane that the two stains span, pixels of one stain alone lie along its edges (Macenko et al. 2009). The slide
says nothing of a stain that it hardly has: then its edge is the noise of the other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from wsipsm.core.errors import FitError
from wsipsm.stain.optics import Floats
from wsipsm.stain.registry import Vector, Vectors

LEAST_DEGREES = 18.0
"""Two stains whose vectors are nearer than this cannot be told apart."""

_STAINED_OD, _SATURATED_OD = 0.15, 2.0
_EDGE = 1.0  # percentile
_LEAST_COMPONENT = -0.15  # of a unit vector: a background that is a little off tilts it
_LEAST_PX = 2_000
_PIXELS = 400_000


def find_two_stains(density: Floats, like: Vectors) -> Vectors:
    """Unit vectors of nuclear stain and chromogen, and their normal.

    Parameters
    ----------
    density : (..., 3) float32
        Optical density above the slide's background.
    like : Vectors
        Of stains of that kind: which of the two found is the nuclear one is told by them.

    Raises
    ------
    FitError
        Too little is stained, the slide shows one stain only, or none.
    """
    flat = density.reshape(-1, 3).astype(np.float64)
    norm = np.linalg.norm(flat, axis=1)
    stained = flat[(norm > _STAINED_OD) & (flat.max(axis=1) < _SATURATED_OD)]
    if len(stained) < _LEAST_PX:
        raise FitError(f"only {len(stained)} stained pixels, expected at least {_LEAST_PX} to find stain vectors")
    stained = stained[:: max(1, len(stained) // _PIXELS)]
    plane = np.linalg.eigh(stained.T @ stained)[1][:, :0:-1]
    plane *= np.sign(plane.sum(axis=0))  # the first direction is that of more stain
    angle = np.arctan2(stained @ plane[:, 1], stained @ plane[:, 0])
    low, high = np.percentile(angle, [_EDGE, 100 - _EDGE])
    if (found := float(np.degrees(high - low))) < LEAST_DEGREES:
        raise FitError(
            f"the stained pixels differ by {found:.0f} degrees in colour, expected {LEAST_DEGREES:g} or more between "
            "two stains: the slide shows one stain only"
        )
    edges = [plane @ np.array([np.cos(a), np.sin(a)]) for a in (low, high)]
    if min(edge.min() for edge in edges) < _LEAST_COMPONENT:
        raise FitError("the stained pixels have colours that no stain gives, which would have to glow")
    nuclear, chromogen = _in_order(edges, like)
    return _unit(nuclear), _unit(chromogen), _unit(np.cross(nuclear, chromogen))


def complete(nuclear: Vector, chromogen: Vector) -> Vectors:
    """Unit vectors of two stains, and their normal."""
    return _unit(np.array(nuclear)), _unit(np.array(chromogen)), _unit(np.cross(nuclear, chromogen))


def degrees_between(one: Vector, other: Vector) -> float:
    """Angle between two stain vectors."""
    cosine = np.dot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other))
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))


def restained(density: Floats, vectors: Vectors, like: Vectors) -> Floats:
    """Optical density as it were in other stains: the same amounts of the first two, along other vectors.

    Parameters
    ----------
    density : (..., 3) float32
        Above the slide's background.
    vectors, like : Vectors
        Of the slide's stains, and of the stains wanted; only the first two of each count.
    """
    source, target = (np.array(complete(*two[:2])) for two in (vectors, like))
    matrix = (np.linalg.inv(source) @ target).astype(np.float32)
    # Written out: a matrix product may sum in another order for another shape.
    red, green, blue = density[..., 0], density[..., 1], density[..., 2]
    planes = [red * matrix[0, k] + green * matrix[1, k] + blue * matrix[2, k] for k in range(3)]
    return np.stack(planes, axis=-1)


def _in_order(edges: list[npt.NDArray[np.float64]], like: Vectors) -> list[npt.NDArray[np.float64]]:
    """The edge that is relatively nearer to the nuclear stain first."""
    first, second = (degrees_between(_unit(edge), like[0]) - degrees_between(_unit(edge), like[1]) for edge in edges)
    return edges if first < second else edges[::-1]


def _unit(vector: npt.NDArray[np.float64]) -> Vector:
    red, green, blue = vector / np.linalg.norm(vector)
    return float(red), float(green), float(blue)
