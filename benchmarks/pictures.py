"""Pictures of the documents, made anew: ``python -m benchmarks.pictures``, or some: ``... frozen seams``.

They show what wsipsm finds on the H&E field that comes with TIAToolbox and on OpenSlide's CMU-1-Small-Region.svs, which
``make demo`` fetches. No label enters. Some minutes on one core.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw

from benchmarks.picture_parts import (
    ARRAYS,
    BLUE,
    GAP,
    INK,
    KEEP,
    ORANGE,
    PSM,
    WHITE,
    Place,
    Runs,
    array,
    brightened,
    confident,
    cross,
    density,
    found,
    lattice,
    lines,
    outlined,
    painted,
    pixels,
    plain,
    scaled,
    sheet,
)
from wsipsm.cells.instances import halo_px
from wsipsm.config import LabelsConfig
from wsipsm.results.draw import CELL_COLOR, plasma, viridis, write_text
from wsipsm.slide.sample import HE_FIELD_MPP

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"
SLIDE = Path(__file__).parent.parent / "demo" / "CMU-1-Small-Region.svs"
MAX_KB = 200


def overview(runs: Runs) -> Image.Image:
    """The picture of the README: density over the slide, and a place of it at full zoom."""
    place, zoom, height = (970, 830, 1320, 1180), 2.0, 700
    with runs.cmu.open_slide() as slide:
        scale = height / slide.height_l0
        whole = pixels(runs.cmu, (0, 0, slide.width_l0, slide.height_l0), scale)
    left = density(runs.cmu, whole, scale)
    x0, y0, x1, y1 = (round(side * scale) for side in place)
    cv2.rectangle(left, (x0, y0), (x1, y1), WHITE, 3)
    cv2.rectangle(left, (x0, y0), (x1, y1), INK, 1)
    page = Image.new("RGB", (left.shape[1] + GAP + round(zoom * (place[2] - place[0])), height), "white")
    page.paste(Image.fromarray(left), (0, 0))
    page.paste(Image.fromarray(outlined(runs.cmu, place, zoom, found)), (left.shape[1] + GAP, 0))
    return page


def psm(runs: Runs) -> Image.Image:
    """From the self-activation map to pseudo labels to the segmenter that learns from them."""
    place: Place = (300, 160, 560, 420)
    half = np.s_[place[1] // 2 : place[3] // 2, place[0] // 2 : place[2] // 2]
    activation = array(runs.psm, "activation")[half].astype(np.float32) / 255
    probability = array(runs.segmented, "activation")[half].astype(np.float32) / 255
    mask = array(runs.psm, "pseudo_mask")[half] > 0
    clusters = np.where(mask[..., None], np.array([68, 1, 84], np.uint8), np.array([225, 215, 190], np.uint8))
    zoom = 1.5
    return sheet(
        [
            ("1  the slide", pixels(runs.psm, place, zoom)),
            ("2  prior self-activation map", scaled(viridis(activation), 2 * zoom)),
            ("3  clusters of pixels: pseudo mask", scaled(clusters, 2 * zoom, smooth=False)),
            ("4  told apart by shape: pseudo labels", outlined(runs.psm, place, zoom, plain(BLUE))),
            ("5  what the segmenter makes of them", scaled(plasma(probability), 2 * zoom)),
            ("6  cells", outlined(runs.segmented, place, zoom, plain(CELL_COLOR))),
        ],
        columns=3,
    )


def frozen(runs: Runs) -> Image.Image:
    """Pseudo mask with constants of the slide, and with constants of each tile."""
    side, place = 500, (340, 340, 660, 660)
    encoder = runs.psm.folder / "calibration.safetensors"
    whole = array(runs.psm, "pseudo_mask") > 0
    apart = np.zeros_like(whole)
    for y in (0, side):
        for x in (0, side):
            tile = runs.piece(runs.field, (x, y, x + side, y + side), f"tile-{x}-{y}")
            mask = array(runs.of(tile, PSM, ARRAYS, encoder=encoder), "pseudo_mask") > 0
            apart[y // 2 : (y + side) // 2, x // 2 : (x + side) // 2] = mask
    image = pixels(runs.psm, place, 1.5)
    half = np.s_[place[1] // 2 : place[3] // 2, place[0] // 2 : place[2] // 2]
    both = [("constants of the slide, frozen", whole), ("constants of each of four tiles", apart)]
    panels = [(title, cross(painted(image, mask[half]))) for title, mask in both]
    changed = np.where((whole != apart)[half], 0, 235).astype(np.uint8)[..., None].repeat(3, 2)
    return sheet([*panels, ("where the two differ", cross(scaled(changed, 3, smooth=False)))], columns=3)


def calibration(runs: Runs) -> Image.Image:
    """What the two levels of a slide do: input scale, and threshold of the outlines."""
    place, zoom = (1060, 1330, 1240, 1510), 1.7
    levels = runs.cmu.record["calibration"]["levels"]
    taken = f"{levels['input_scale']:g}"
    panels = []
    for scale, score in levels["scores"].items():
        shown = runs.of(runs.slide, KEEP, f"segmenter.input_scale={scale}")
        title = f"input scale {scale}, sum {score:.0f}{', taken' if scale == taken else ''}"
        panels.append((title, outlined(shown, place, zoom, found)))
    for threshold in (0.2, 0.02):
        shown = runs.of(runs.slide, KEEP, f"segmenter.threshold={threshold}")
        panels.append((f"outlines at {threshold}", outlined(shown, place, zoom, found)))
    panels.append((f"outlines at {levels['threshold']:.3f}, taken", outlined(runs.cmu, place, zoom, found)))
    return sheet(panels, columns=3)


def confidence(runs: Runs) -> Image.Image:
    """Outlines in the colours of their confidence, with the scale of colours."""
    place: Place = (1040, 1080, 1360, 1320)
    image = outlined(runs.cmu, place, 2.5, confident)
    bar = viridis(brightened(np.linspace(1, 0, len(image), dtype=np.float32)[:, None].repeat(24, 1)))
    page = Image.new("RGB", (image.shape[1] + 110, len(image)), "white")
    page.paste(Image.fromarray(image), (0, 0))
    page.paste(Image.fromarray(bar), (image.shape[1] + 14, 0))
    draw = ImageDraw.Draw(page)
    for value in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8):
        y = round((0.8 - value) / 0.7 * (len(image) - 20))
        write_text(draw, (image.shape[1] + 46, y), f"{value:g}", size=17, color=INK)
    return page


def seams(runs: Runs) -> Image.Image:
    """The same cells of tiles of two sizes, and what comes of tiles that are taken for pictures of their own."""
    side, zoom, cut = 128, 0.5, 500
    place: Place = (0, 0, 768, 768)
    small, large = (runs.of(runs.field, f"tiles.core_px={core_px}") for core_px in (side, 1024))
    labels = array(large, "instances")
    differ = np.count_nonzero(array(small, "instances") != labels)
    halo = halo_px(LabelsConfig(), 2 * HE_FIELD_MPP)
    alone = pixels(large, place, zoom)
    for x, y in ((0, 0), (cut, 0), (0, cut), (cut, cut)):
        tile = runs.of(runs.piece(runs.field, (x, y, x + cut, y + cut), f"tile-{x}-{y}"))
        outlined(tile, (-x, -y, cut, cut), zoom, plain(ORANGE), on=alone)
    lines(alone, round(cut * zoom))
    return sheet(
        [
            ("16 tiles; of one, its core and what is read", lattice(outlined(small, place, zoom, found), side, halo)),
            (f"one tile: labels that differ, {differ} of {labels.size:,} px", outlined(large, place, zoom, found)),
            ("four pictures, each by itself", alone),
        ],
        columns=3,
    )


def limits(runs: Runs) -> Image.Image:
    """Where it errs: places of 40 um of the CMU slide, and one of the field."""
    places: dict[str, tuple[int, int]] = {
        "neighbours joined": (683, 2515),
        "a dark nucleus left out": (1110, 1350),
        "flakes of keratin": (1275, 1140),
        "granules of keratin": (1225, 1790),
        "dye at a torn edge": (1234, 741),
    }
    cut = outlined(runs.segmented, (0, 152, 160, 312), 1.75, found)
    panels = [(title, outlined(runs.cmu, (x, y, x + 80, y + 80), 3.5, found)) for title, (x, y) in places.items()]
    return sheet([panels[0], ("one nucleus cut up", cut), *panels[1:]], columns=3)


PICTURES: dict[str, Callable[[Runs], Image.Image]] = {
    one.__name__: one for one in (overview, psm, frozen, calibration, confidence, seams, limits)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(PICTURES)}; by default all")
    parser.add_argument("--slide", type=Path, default=SLIDE, help="CMU-1-Small-Region.svs")
    parser.add_argument("-o", "--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(Path(folder), options.slide)
        for name in options.names or PICTURES:
            path = options.out / f"{name}.jpg"
            PICTURES[name](runs).save(path, quality=76, optimize=True)
            print(f"{path}: {path.stat().st_size // 1000} kB of at most {MAX_KB}", flush=True)


if __name__ == "__main__":
    main()
