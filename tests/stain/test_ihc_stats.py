"""Constants of a slide of immunohistochemistry, and what networks see of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage.draw import disk
from skimage.filters import gaussian

from wsipsm.slide.sample import he_field
from wsipsm.stain.doubts import unexpected_stain
from wsipsm.stain.hue import brownness
from wsipsm.stain.normalise import SlideStats, colour_density, measure_slide, relative_planes, stain_density
from wsipsm.stain.registry import HDAB_VECTORS
from wsipsm.stain.two_stains import complete

BACKGROUND = np.array([0.06, 0.07, 0.10])
FAST_RED = (0.21, 0.85, 0.48)


def field(
    chromogen: tuple[float, ...] = HDAB_VECTORS[1], *, blue: int = 40, brown: int = 40, radius: int = 7, seed: int = 0
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float64]]:
    """Image (256, 256, 3) of nuclei of the two stains on hazy tissue, and the amounts of the stains (256, 256, 2)."""
    rng = np.random.default_rng(seed)
    amounts = np.zeros((256, 256, 2))
    for kind, count in enumerate((blue, brown)):
        for y, x in rng.integers(10, 246, (count, 2)):
            amounts[disk((y, x), radius, shape=(256, 256))] = (rng.uniform(0.2, 0.5), 0) if kind == 0 else (0.1, 1.0)
    amounts = gaussian(amounts, 0.7, channel_axis=-1)
    density = BACKGROUND + amounts @ np.array([HDAB_VECTORS[0], chromogen]) + rng.normal(0, 0.006, (256, 256, 3))
    return np.clip(np.rint(256 * 10.0**-density - 1), 0, 255).astype(np.uint8), amounts


def test_background_and_densities_are_those_that_were_painted() -> None:
    image, amounts = field()

    stats = measure_slide(image[None], "ihc")

    np.testing.assert_allclose(stats.background, BACKGROUND, atol=0.008)
    for found, painted in zip(stain_density(image, stats), np.moveaxis(amounts, -1, 0), strict=True):
        assert np.abs(found - painted).mean() < 0.02
    np.testing.assert_array_equal(relative_planes(image, stats), colour_density(image, stats))


def test_the_constants_survive_json() -> None:
    stats = measure_slide(field()[0][None], "ihc")

    assert stats.colours is not None
    assert stats.background is not None
    assert SlideStats.from_dict(orjson.loads(orjson.dumps(stats.to_dict()))) == stats


def test_another_chromogen_looks_like_dab_to_the_network() -> None:
    image, amounts = field(FAST_RED)
    vectors = (HDAB_VECTORS[0], FAST_RED)

    stats = measure_slide(image[None], "ihc", vectors)

    length = np.linalg.norm(FAST_RED)  # vectors are brought to a length of 1
    seen = colour_density(image, stats)
    assert np.abs(seen - (amounts * [1, length]) @ np.array(complete(*HDAB_VECTORS[:2])[:2])).mean() < 0.02
    np.testing.assert_array_equal(brownness(seen)[amounts[..., 1] > 0.8] > 0, True)


@pytest.mark.parametrize("chromogen", [HDAB_VECTORS[1], FAST_RED])
def test_vectors_are_estimated_where_that_is_asked(chromogen: tuple[float, ...]) -> None:
    image, _ = field(chromogen)

    stats = measure_slide(image[None], "ihc", "estimate")

    assert stats.vectors == stats.estimated is not None
    unit = np.array(chromogen) / np.linalg.norm(chromogen)
    assert np.degrees(np.arccos(np.dot(stats.vectors[1], unit))) < 8


def test_where_they_cannot_be_estimated_the_usual_ones_are_used() -> None:
    stats = measure_slide(field(brown=0)[0][None], "ihc", "estimate")

    assert stats.estimated is None
    assert stats.vectors == HDAB_VECTORS


def test_a_slide_as_expected_has_no_doubts() -> None:
    assert unexpected_stain(measure_slide(field()[0][None], "ihc"), "ihc") == ""


def test_haematoxylin_and_eosin_are_noticed() -> None:
    with Image.open(he_field()) as image:
        pixels = np.asarray(image.convert("RGB").resize((500, 500)))

    assert "--config he" in unexpected_stain(measure_slide(pixels[None], "ihc"), "ihc")


def test_vectors_that_are_given_and_are_the_usual_ones_change_nothing() -> None:
    image, _ = field()

    assert measure_slide(image[None], "ihc", HDAB_VECTORS[:2]) == measure_slide(image[None], "ihc")


def test_a_red_chromogen_is_taken_for_eosin_unless_it_is_named() -> None:
    red = (0.25, 0.95, 0.15)
    image, _ = field(red)

    assert "--config he" in unexpected_stain(measure_slide(image[None], "ihc"), "ihc")
    assert unexpected_stain(measure_slide(image[None], "ihc", (HDAB_VECTORS[0], red)), "ihc") == ""


def test_another_chromogen_is_noticed() -> None:
    image, _ = field((0.02, 0.05, 0.99))

    assert "recognizer.stain_vectors" in unexpected_stain(measure_slide(image[None], "ihc"), "ihc")


def test_a_chromogen_in_sheets_is_noticed_unless_it_is_expected_there() -> None:
    image, _ = field(brown=1, radius=70)
    stats = measure_slide(image[None], "ihc")

    assert "classes.compartment=ring" in unexpected_stain(stats, "ihc")


def test_brown_tissue_is_noticed_by_the_configuration_for_haematoxylin_and_eosin() -> None:
    assert "--config ihc" in unexpected_stain(measure_slide(field()[0][None], "he"), "he")


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "coloured"])
@pytest.mark.parametrize(("sigma_px", "deviation"), [(0, 40), (3, 15), (6, 80)])
def test_noise_is_said_not_to_be_stained(channels: int, sigma_px: float, deviation: float) -> None:
    noise = np.random.default_rng(0).normal(size=(300, 300, channels))
    soft = gaussian_filter(noise, (sigma_px, sigma_px, 0))
    image = np.clip(170 + deviation * soft / soft.std(), 0, 255).astype(np.uint8)

    stats = measure_slide(np.ascontiguousarray(np.broadcast_to(image, (300, 300, 3)))[None], "ihc")

    assert "not those of two stains" in unexpected_stain(stats, "ihc")


def test_real_immunostains_are_not_taken_for_noise(shared_data: Path) -> None:
    for path in sorted((shared_data / "bcdata" / "images").iterdir())[:4]:
        image = np.asarray(Image.open(path).convert("RGB"))[::2, ::2]

        text = unexpected_stain(measure_slide(np.ascontiguousarray(image)[None], "ihc"), "ihc")
        assert "two stains" not in text, path.name
