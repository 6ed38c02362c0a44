"""Points on cells, and what their classes mean when they are compared."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt


class Kind(IntEnum):
    """What a point counts as."""

    CELL = 0
    """A cell of no class, or of one that is neither positive nor negative: it counts in the detection alone."""
    POSITIVE = 1
    NEGATIVE = 2
    IGNORED = 3
    """Counts neither way: see `wsipsm.evaluation.detection.count`."""


_KINDS = {
    **dict.fromkeys(("positive", "pos", "1+", "2+", "3+"), Kind.POSITIVE),
    **dict.fromkeys(("negative", "neg"), Kind.NEGATIVE),
    **dict.fromkeys(("", "nucleus", "cell"), Kind.CELL),
    **dict.fromkeys(("lymphocyte", "doubtful", "ignore"), Kind.IGNORED),
}
"""Known names of classes, in lower case."""


@dataclass(frozen=True, slots=True)
class Points:
    """Points of one image.

    Attributes
    ----------
    xy : (N, 2) float64
        Positions (x, y) in pixels of the truth's image; its first pixel covers [0, 1) x [0, 1).
    kinds : (N,) int8
        A `Kind` each.
    unknown : mapping of str to int
        Names of classes that are not known, and how many points have them; they count as `Kind.CELL`.
    repeated : int
        Points left out since another of their kind lies at the very same place.
    from_qupath : bool
        Whether QuPath wrote them, whose frame begins at the corner of the slide's bounds.
    """

    xy: npt.NDArray[np.float64]
    kinds: npt.NDArray[np.int8]
    unknown: Mapping[str, int] = field(default_factory=dict)
    repeated: int = 0
    from_qupath: bool = False

    def of(self, *kinds: Kind) -> npt.NDArray[np.float64]:
        """Positions of the points of some kinds, (n, 2)."""
        return self.xy[np.isin(self.kinds, kinds)]

    def counted(self) -> Points:
        """The points without those that are ignored."""
        keep = self.kinds != Kind.IGNORED
        return replace(self, xy=self.xy[keep], kinds=self.kinds[keep])

    def once(self) -> Points:
        """The points without repetitions: nobody marks one cell twice at one place on purpose."""
        first = np.unique(np.column_stack([self.xy, self.kinds]), axis=0, return_index=True)[1]
        first.sort()
        repeated = len(self.xy) - len(first)
        return replace(self, xy=self.xy[first], kinds=self.kinds[first], repeated=repeated)

    def moved(self, offset: tuple[float, float]) -> Points:
        """The points in a frame whose origin lies at ``-offset`` of theirs."""
        return replace(self, xy=self.xy + np.array(offset, float))


def make_points(xy: Any, names: Sequence[str]) -> Points:
    """Points of positions (N, 2) and N names of classes.

    Examples
    --------
    >>> points = make_points([[0, 0], [5, 5], [9, 9]], ["Positive", "Tumor: Negative", "Stroma"])
    >>> points.kinds
    array([1, 2, 0], dtype=int8)
    >>> points.unknown
    {'Stroma': 1}
    """
    known = {name: kind_of(name) for name in set(names)}
    kinds = np.array([known[name] or Kind.CELL for name in names], np.int8)
    unknown = Counter(name for name in names if known[name] is None)
    return Points(np.asarray(xy, np.float64).reshape(-1, 2), kinds, dict(sorted(unknown.items())))


def kind_of(name: str) -> Kind | None:
    """Kind of the class of a name; None where the name is not known.

    Of a class derived in QuPath, such as ``Tumor: Positive``, the last known part decides, and as there a name that
    ends with an asterisk is ignored.

    Examples
    --------
    >>> [kind_of(name) for name in ("Tumor: 2+", "Ignore*", "Tumor")]
    [<Kind.POSITIVE: 1>, <Kind.IGNORED: 3>, None]
    """
    parts = [part.strip().lower() for part in name.split(":")]
    kinds = [Kind.IGNORED if part.endswith("*") else _KINDS.get(part) for part in parts]
    if Kind.IGNORED in kinds:
        return Kind.IGNORED
    return next((kind for kind in reversed(kinds) if kind is not None), None)
