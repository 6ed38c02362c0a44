"""What fixes the tensors of a segmenter, and what it takes in; known without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

PLANES = 3
"""Input planes of a segmenter: of each colour."""
LEAST_OD, LOWEST_OD, HIGHEST_OD = 0.1, -0.07, 2.4
"""Of the logarithm that a segmenter may begin with: density that counts as one, and ends of the densities it sees."""


@dataclass(frozen=True, slots=True)
class SegmenterShape:
    """What fixes the tensors of a :class:`Segmenter`.

    Attributes
    ----------
    planes : int
        Input planes.
    widths : tuple of int
        Channels of each level, fine to coarse; each level has half the resolution of the one before.
    logarithm : bool
        The input is optical density above background, of which the network first takes a logarithm: pale nuclei and
        black ones are both told from what is beside them.
    """

    planes: int
    widths: tuple[int, ...]
    logarithm: bool = False

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return {"planes": self.planes, "widths": list(self.widths), "logarithm": self.logarithm}

    @classmethod
    def from_dict(cls, table: dict[str, Any]) -> SegmenterShape:
        """Inverse of :meth:`to_dict`."""
        widths = tuple(int(width) for width in table["widths"])
        if min(widths, default=0) < 1 or table["planes"] != PLANES:
            raise ValueError(f"widths {widths} of {table['planes']} planes, expected some of {PLANES}")
        return cls(PLANES, widths, bool(table.get("logarithm", False)))

    @property
    def stride(self) -> int:
        """Where blocks may start: multiples of it give the same numbers for the same pixels."""
        return int(2 ** (len(self.widths) - 1))

    @property
    def halo_px(self) -> int:
        """Pixels around a block that its inside depends on: six strides, 48 px for four levels.

        The receptive field is wider by up to 10 px, where its weights have faded: what lies there moves a probability
        by less than 1e-3 (``tests/nuclei/test_segmenter.py``). Blocks are anchored, so no tiling can show even that.
        """
        return 6 * self.stride

    def tensors(self) -> dict[str, tuple[int, ...]]:
        """Sizes of the tensors of a segmenter, by their names in its ``state_dict``."""
        pairs, found = list(pairwise(self.widths)), dict[str, tuple[int, ...]]()
        for level, (entering, width) in enumerate(pairwise((self.planes, *self.widths))):
            found |= _two_convolutions(f"down.{level}", entering, width)
        for level, (fine, coarse) in enumerate(pairs):
            found |= _two_convolutions(f"up.{level}", fine, fine)
            found |= {f"lift.{level}.weight": (fine, coarse, 1, 1), f"lift.{level}.bias": (fine,)}
        return found | {"head.weight": (2, self.widths[0], 1, 1), "head.bias": (2,)}


def _two_convolutions(level: str, entering: int, width: int) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for name, channels in ((f"{level}.first", entering), (f"{level}.second", width)):
        norms = {f"{name}_norm.{part}": (width,) for part in ("weight", "bias", "running_mean", "running_var")}
        found |= {f"{name}.weight": (width, channels, 3, 3), f"{name}_norm.num_batches_tracked": (), **norms}
    return found


def compressed(density: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """log(1 + density / 0.1) of optical density between -0.07 and 2.4; 0 stays 0."""
    seen = np.clip(density.astype(np.float64), LOWEST_OD, HIGHEST_OD)  # rounded after, the same on every CPU
    return np.log1p(seen / LEAST_OD).astype(np.float32)
