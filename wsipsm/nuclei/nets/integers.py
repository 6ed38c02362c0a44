"""The segmenter in bytes on a CPU: a third of the time of float32, and other low bits of its maps.

Planes are bytes in units of a range that was seen on the slide itself, weights are 7-bit integers, a scale for each
output channel, and sums are 32-bit integers. With 8-bit weights, pairs of products leave 16 bits on CPUs without VNNI
instructions; with 7 bits the sums are the same on all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from wsipsm.nuclei.nets.inside import Arithmetic, InFloats, after, convolutions, inside_of
from wsipsm.nuclei.nets.unet import Segmenter

Range = tuple[float, float]
"""Least and greatest value of a plane; 0 lies between them."""

_TOP, _TOP_WEIGHT = 255, 63


def observed_ranges(segmenter: Segmenter, planes: Tensor) -> dict[str, Range]:
    """Range of every plane of a segmenter for one input.

    Parameters
    ----------
    segmenter : Segmenter
        With folded norms, on a CPU.
    planes : (1, planes, y, x) float32
        As for `inside_of`.

    Returns
    -------
    dict of two of float
        By what the planes are: ``input``, the name of a convolution, ``merged.`` and a level.
    """
    seen = _Observing(InFloats(segmenter))
    with torch.inference_mode():
        inside_of(segmenter, planes, 0, seen)
    return seen.ranges


def widest(found: Iterable[Mapping[str, Range]]) -> dict[str, Range]:
    """Ranges that hold those of several inputs."""
    both = dict[str, Range]()
    for ranges in found:
        for name, (low, high) in ranges.items():
            least, most = both.get(name, (low, high))
            both[name] = (min(low, least), max(high, most))
    return both


class _Observing:
    """Another arithmetic, and the ranges of what it computes."""

    def __init__(self, by: Arithmetic) -> None:
        self._by = by
        self.ranges: dict[str, Range] = {}

    def _seen(self, name: str, x: Tensor) -> Tensor:
        low, high = (float(end) for end in torch.aminmax(x))
        self.ranges[name] = (min(low, 0.0), max(high, 0.0))
        return x

    def begin(self, planes: Tensor) -> Tensor:
        return self._seen("input", self._by.begin(planes))

    def convolved(self, name: str, x: Tensor) -> Tensor:
        return self._seen(name, self._by.convolved(name, x))

    def merged(self, level: int, skip: Tensor, lifted: Tensor, cut: tuple[int, int]) -> Tensor:
        return self._seen(f"merged.{level}", self._by.merged(level, skip, lifted, cut))


@dataclass(frozen=True, slots=True)
class Steps:
    """How bytes stand for numbers: a byte b is (b - zero) * unit."""

    unit: float
    zero: int

    @classmethod
    def over(cls, span: Range) -> Steps:
        """Steps of a range; 0 is a whole byte."""
        low, high = span
        unit = max(high - low, 1e-6) / _TOP
        return cls(unit, round(-low / unit))

    def bytes_of(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        """Values as bytes, rounded and clipped."""
        steps = np.rint(values * np.float32(1 / self.unit)) + np.float32(self.zero)
        found: npt.NDArray[np.uint8] = np.clip(steps, 0, _TOP).astype(np.uint8)
        return found


class InIntegers:
    """Arithmetic in bytes; its input are bytes in steps of ``input``.

    Parameters
    ----------
    segmenter : Segmenter
        With folded norms, on a CPU.
    ranges : dict of two of float
        Of `observed_ranges`.

    Attributes
    ----------
    input : Steps
        Of the input.
    """

    def __init__(self, segmenter: Segmenter, ranges: Mapping[str, Range]) -> None:
        self._steps = {name: Steps.over(span) for name, span in ranges.items()}
        self.input = self._steps["input"]
        self._layers = {
            name: _Packed.of(layer, self._steps[_source(name, len(segmenter.up))], self._steps[name], after(name))
            for name, layer in convolutions(segmenter).items()
        }

    def begin(self, planes: Tensor) -> Tensor:
        """The input as it is."""
        return planes

    def convolved(self, name: str, x: Tensor) -> Tensor:
        """Bytes where a ReLU follows, else float32: of ``head``; of a lift, in two summands."""
        found = self._layers[name](x)
        return found[:, :2] + found[:, 2:] if name == "head" else found

    def merged(self, level: int, skip: Tensor, lifted: Tensor, cut: tuple[int, int]) -> Tensor:
        """Bytes of the sum.

        Parameters
        ----------
        level, skip, lifted, cut
            As of `Arithmetic`; what is lifted are two summands, one behind the other.
        """
        from wsipsm.nuclei.compiled import lifted_onto

        one, both = self._steps[f"down.{level}.second"], self._steps[f"merged.{level}"]
        steps = np.array([one.unit, both.unit, both.zero], np.float32)
        fine, low = (x[0].permute(1, 2, 0).contiguous().numpy() for x in (skip, lifted))
        return torch.from_numpy(lifted_onto(fine, low, cut, steps)).permute(2, 0, 1)[None]


def _source(name: str, levels: int) -> str:
    """What a convolution reads."""
    if name == "head":
        return "up.0.second"
    kind, level = name.split(".")[0], int(name.split(".")[1])
    if kind == "lift":
        return f"down.{levels}.second" if level == levels - 1 else f"up.{level + 1}.second"
    if name.endswith("second"):
        return f"{kind}.{level}.first"
    return f"merged.{level}" if kind == "up" else f"down.{level - 1}.second" if level else "input"


@dataclass(frozen=True, slots=True)
class _Packed:
    """A convolution with integer weights, as oneDNN wants it: what torch.compile makes of a quantised one."""

    before: Steps
    behind: Steps
    then: str
    padding: list[int]
    weight: Any
    scales: Tensor
    zeros: Tensor
    bias: Tensor

    @classmethod
    def of(cls, layer: Any, before: Steps, behind: Steps, then: str) -> _Packed:
        weight, bias, padding = layer.weight.detach(), layer.bias.detach(), list(layer.padding)
        whole, scales = _in_steps(weight)
        if then == "none":  # what is left by rounding is a second convolution, beside the first
            rest, fine = _in_steps(weight - whole * scales[:, None, None, None])
            whole, scales = torch.cat([whole, rest]), torch.cat([scales, fine])
            bias = torch.cat([bias, torch.zeros_like(bias)])
        pack = torch.ops.onednn.qconv_prepack
        packed = pack(whole.to(torch.int8), scales, before.unit, before.zero, [1, 1], padding, [1, 1], 1, None)
        return cls(before, behind, then, padding, packed, scales, torch.zeros(len(scales), dtype=torch.int), bias)

    def __call__(self, x: Tensor) -> Tensor:
        floats = self.then == "none"
        unit, zero, kind = (1.0, 0, torch.float32) if floats else (self.behind.unit, self.behind.zero, torch.uint8)
        result: Tensor = torch.ops.onednn.qconv2d_pointwise(
            x,
            self.before.unit,
            self.before.zero,
            self.weight,
            self.scales,
            self.zeros,
            self.bias,
            [1, 1],
            self.padding,
            [1, 1],
            1,
            unit,
            zero,
            kind,
            self.then,
            [],
            "",
        )
        return result


def _in_steps(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Weights as whole numbers, and the step of each output channel."""
    steps = weight.abs().amax((1, 2, 3)).clamp(min=1e-9) / _TOP_WEIGHT
    return torch.round(weight / steps[:, None, None, None]), steps
