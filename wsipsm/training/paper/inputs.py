"""Images for the paper's method, which takes square images at one resolution, not slides."""

from __future__ import annotations

from collections.abc import Sequence

from wsipsm.config import Config, EncoderConfig, GridConfig, TrainingConfig
from wsipsm.core.errors import FitError, SlideError
from wsipsm.core.geometry import Box, Image
from wsipsm.slide import open_slide
from wsipsm.training.inputs import Skipped, Source, find_sources, refuse_nothing
from wsipsm.training.slide_sample import sample_slide

_MIN_PX, _MAX_PX = 192, 2048  # bounds of `training.field_px`; the method crops fields


def paper_images(
    inputs: Sequence[str], *, mpp: float, side_px: int, seed: int, slide_mpp: float | None = None
) -> tuple[list[tuple[str, Image]], list[Skipped]]:
    """Named images: a plain image as a whole, a slide as fields over its tissue.

    Parameters
    ----------
    inputs : sequence of str
        See :func:`wsipsm.training.inputs.find_sources`.
    mpp : float
        Micrometres per pixel of the fields of slides; plain images are taken to have it.
    side_px, seed : int
        Of the fields.
    slide_mpp : float, optional
        Micrometres per level-0 pixel, overriding the slides' metadata.

    Returns
    -------
    list of (str, (y, x, 3) uint8), and the slides left out
    """
    fields = TrainingConfig(field_px=min(max(side_px, _MIN_PX), _MAX_PX), seed=seed)
    config = Config(grid=GridConfig(mpp=mpp), encoder=EncoderConfig(patches=8), training=fields)
    sources, skipped = find_sources(inputs, slide_mpp=slide_mpp)
    found: list[tuple[str, Image]] = []
    for source in sources:
        try:
            found += _images_of(source, config)
        except (FitError, SlideError) as error:
            skipped.append(Skipped(source.path, error))
    refuse_nothing(found, skipped)
    return found, skipped


def _images_of(source: Source, config: Config) -> list[tuple[str, Image]]:
    with open_slide(source.path, mpp=source.mpp) as slide:
        if slide.reader == "pillow":
            whole = Box(0, 0, slide.width_l0, slide.height_l0)
            return [(source.name, slide.read(whole, slide.grid(slide.mpp_l0)))]
        _, fields = sample_slide(slide, config, fingerprint=source.fingerprint)
    return [(f"{source.name}-{number}", field) for number, field in enumerate(fields, start=1)]
