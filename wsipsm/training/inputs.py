"""Inputs of a training: slides, folders, patterns, plain images, or the rows of a manifest."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from wsipsm.core.errors import FitError, InputError, PixelFormatError, SlideError, WsipsmError
from wsipsm.core.geometry import Box, Image
from wsipsm.slide import Slide, find_slides, open_slide, slide_paths
from wsipsm.slide.manifest import is_manifest, read_manifest

_CHECKED_PX = 1024
_FEW_COLOURS = 256
_FLAT_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class Source:
    """Slide or image to learn from.

    Attributes
    ----------
    path : Path
        Path of the file.
    mpp : float or None
        Micrometres per level-0 pixel, overriding the file's metadata.
    fingerprint : str
        Fingerprint of the content.
    name : str
        Unique name: the stem, where needed with the first digits of the fingerprint.
    """

    path: Path
    mpp: float | None
    fingerprint: str
    name: str

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready form."""
        return asdict(self) | {"path": str(self.path)}


@dataclass(frozen=True, slots=True)
class Skipped:
    """Slide that is left out, and the reason."""

    path: Path
    error: WsipsmError

    @property
    def reason(self) -> str:
        """Reason on one line, without the path."""
        return " ".join(str(self.error).split()).removeprefix(f"{self.path}: ")

    def to_dict(self) -> dict[str, str]:
        """JSON-ready form."""
        return {"path": str(self.path), "reason": self.reason}


def find_sources(
    inputs: Sequence[str | Path], *, slide_mpp: float | None = None, skip: Path | None = None
) -> tuple[list[Source], list[Skipped]]:
    """Slides to learn from, without duplicates, and the slides left out.

    Parameters
    ----------
    inputs : sequence of str or Path
        Slides, plain images, folders, patterns, or manifests, of which ``slide`` and ``mpp`` are read.
    slide_mpp : float, optional
        Micrometres per level-0 pixel of inputs without a value in a manifest.
    skip : Path, optional
        Output folder, which is no input.

    Raises
    ------
    InputError
        A path that does not exist, or an invalid manifest.
    PixelFormatError
        An image that is not 8-bit RGB, or a label image.
    """
    found: list[Source] = []
    skipped: list[Skipped] = []
    for path, mpp in _listed(inputs, slide_mpp, skip, skipped):
        try:
            with open_slide(path, mpp=mpp) as slide:
                _refuse_labels(slide)
                found.append(Source(path, mpp, slide.fingerprint(), path.stem))
        except PixelFormatError:
            raise
        except SlideError as error:
            skipped.append(Skipped(path, error))
    first = {source.fingerprint: source for source in reversed(found)}
    twice = [source for source in found if first[source.fingerprint] is not source]
    skipped += [Skipped(s.path, InputError(f"the same content as {first[s.fingerprint].path}")) for s in twice]
    return _named([source for source in found if source not in twice]), skipped


def refuse_nothing(left: Sequence[object], skipped: Sequence[Skipped]) -> None:
    """Raise where no slide is left: the reason why they were left out, or `FitError`."""
    if left:
        return
    if not skipped:
        raise FitError("nothing to learn from: expected one slide or more")
    kinds = {type(one.error) for one in skipped}
    kind = kinds.pop() if len(kinds) == 1 else FitError
    first = f"{skipped[0].path}: {skipped[0].reason}"
    raise kind(first if len(skipped) == 1 else f"none of {len(skipped)} slides can be learnt from; the first: {first}")


def _listed(
    inputs: Sequence[str | Path], slide_mpp: float | None, skip: Path | None, skipped: list[Skipped]
) -> list[tuple[Path, float | None]]:
    """Slides and their resolutions; what cannot be used goes to ``skipped``."""
    found: list[tuple[Path, float | None]] = []
    for given in inputs:
        path = Path(given)
        if is_manifest(path):
            for row in read_manifest(path):
                found += [(one, row.mpp or slide_mpp) for one in slide_paths([row.slide])]
        else:
            searched = find_slides([path if path.exists() else given], skip=skip)
            found += [(one, slide_mpp) for one in searched.slides]
            skipped += [Skipped(one, InputError(reason)) for one, reason in searched.refused.items()]
    return list({os.path.realpath(path): (path, mpp) for path, mpp in reversed(found)}.values())[::-1]


def _named(sources: list[Source]) -> list[Source]:
    stems = Counter(source.name for source in sources)
    return [s if stems[s.name] == 1 else replace(s, name=f"{s.name}-{s.fingerprint[:8]}") for s in sources]


def _refuse_labels(slide: Slide) -> None:
    """Refuse a plain image that looks like a label image: training must never see labels."""
    if slide.reader != "pillow":
        return
    x, y = (max(0, (size - _CHECKED_PX) // 2) for size in (slide.width_l0, slide.height_l0))
    box = Box(x, y, min(x + _CHECKED_PX, slide.width_l0), min(y + _CHECKED_PX, slide.height_l0))
    if looks_like_labels(slide.read(box, slide.grid(slide.mpp_l0))):
        raise PixelFormatError(
            f"{slide.path}: looks like a label image, of few flat colours; expected stained tissue in 8-bit RGB. "
            "wsipsm learns from images alone: leave label images out"
        )


def looks_like_labels(image: Image) -> bool:
    """Whether an image is drawn rather than scanned: few colours, or hardly a pixel that differs from the next.

    Parameters
    ----------
    image : (y, x, 3) uint8
        RGB; white pixels are ignored.

    Examples
    --------
    >>> drawn = np.repeat(np.arange(12, dtype=np.uint8).reshape(3, 4), 20, axis=1).repeat(20, axis=0)
    >>> looks_like_labels(np.stack([drawn] * 3, axis=-1))
    True
    >>> looks_like_labels(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    False
    """
    codes = image.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1])
    seen = codes != 0xFFFFFF
    if not seen.any():
        return False
    both = seen[:, 1:] & seen[:, :-1]
    flat = (codes[:, 1:] == codes[:, :-1])[both].mean() if both.any() else 0.0
    return len(np.unique(codes[seen])) < min(_FEW_COLOURS, seen.sum()) or bool(flat > _FLAT_SHARE)
