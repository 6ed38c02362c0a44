"""A run against its floors, side by side: ``python -m benchmarks speed --data ../shared/data/monuseg``.

On a mosaic of dense H&E at 0.5 um/px, in turns: ``read`` reads every block with its halo and does nothing else,
``plain`` reads the same by OpenSlide alone, ``forward`` runs the network on as many blocks in memory (each in one
process of one thread), ``run`` is ``wsipsm run`` with everything included. ``--against FOLDER`` runs another checkout
in the same turns, and compares its outputs with ours. Seconds
are CPU seconds, of all processes: on a machine that others use too, wall seconds say little.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.equal import differences
from benchmarks.measuring import Spent, dense_mosaic, in_turns, median, ratio, time_process, write_table

WSIPSM = str(Path(sys.executable).with_name("wsipsm"))
ROOT = Path(__file__).parents[1]
BLOCK_PX, HALO_PX = 512, 48


def read(slide: Path) -> None:
    """Read every block with its halo."""
    from wsipsm.core.geometry import Box
    from wsipsm.slide import open_slide

    with open_slide(slide) as opened:
        grid = opened.grid(0.5)
        for y in range(0, grid.height, BLOCK_PX):
            for x in range(0, grid.width, BLOCK_PX):
                opened.read_mirrored(Box(x, y, x + BLOCK_PX, y + BLOCK_PX).expand(HALO_PX), grid)


def plain(slide: Path) -> None:
    """Read the same regions by OpenSlide alone, as RGB arrays; what lies beyond the slide is left out."""
    import numpy as np
    import openslide

    with openslide.OpenSlide(str(slide)) as opened:
        width, height = opened.dimensions
        for y in range(0, height, BLOCK_PX):
            for x in range(0, width, BLOCK_PX):
                x0, y0 = max(0, x - HALO_PX), max(0, y - HALO_PX)
                x1, y1 = (min(end, at + BLOCK_PX + HALO_PX) for end, at in ((width, x), (height, y)))
                np.asarray(opened.read_region((x0, y0), 0, (x1 - x0, y1 - y0)).convert("RGB"))


def forward(slide: Path) -> None:
    """Run the network on as many blocks as the slide has, of pixels that are in memory."""
    from wsipsm.core.geometry import Box
    from wsipsm.engine.cluster.plugin import settle_worker
    from wsipsm.nuclei.models import shipped_model
    from wsipsm.nuclei.nets.checkpoint import load_checkpoint
    from wsipsm.nuclei.segmentation import SegmentationNet
    from wsipsm.slide import open_slide
    from wsipsm.stain.normalise import measure_slide

    settle_worker()
    net = SegmentationNet.of_checkpoint(load_checkpoint(shipped_model()), device="cpu")
    with open_slide(slide) as opened:
        grid = opened.grid(0.5)
        image = opened.read(Box(0, 0, BLOCK_PX + 2 * HALO_PX, BLOCK_PX + 2 * HALO_PX), grid)
    stats = measure_slide(image[None])
    for _ in range(-(-grid.height // BLOCK_PX) * -(-grid.width // BLOCK_PX)):
        net.maps_inside([image], stats, rim_px=HALO_PX)


def run(slide: Path, out: Path, root: Path) -> Spent:
    """Everything; ``root`` is the checkout whose package works."""
    return time_process([WSIPSM, "run", str(slide), "-o", str(out), "--fresh"], root)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/monuseg"))
    parser.add_argument("--slide", type=Path, help="a slide of 0.5 um/px instead of the mosaic")
    parser.add_argument("--side", type=int, default=8192)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path, help="another checkout to run in turns")
    parser.add_argument("--json", type=Path, default=Path("speed.json"))
    parser.add_argument("--only", choices=["read", "plain", "forward"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        {"read": read, "plain": plain, "forward": forward}[options.only](options.slide)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        slide = (options.slide or dense_mosaic(options.data, options.side, folder / "mosaic.tiff")).absolute()
        compare(slide, folder, options)


def compare(slide: Path, folder: Path, options: argparse.Namespace) -> None:
    alone = [sys.executable, "-m", "benchmarks.speed", "--slide", str(slide), "--only"]
    parts = {name: partial(time_process, [*alone, name], ROOT) for name in ("read", "plain", "forward")}
    parts["run"] = partial(run, slide, folder / "run", ROOT)
    if options.against:
        parts["against"] = partial(run, slide, folder / "against", options.against.absolute())
    found = in_turns(parts, options.rounds)
    record = json.loads(next((folder / "run").glob("*/run.json")).read_text())
    grid = record["grid"]
    megapixels = grid["width"] * grid["height"] / 1e6
    print(f"\n{megapixels:.1f} Mpx, {record['counts']['cells']:,} cells; medians of {options.rounds} rounds")
    table = {name: [round(median(spent, what), 2) for what in ("wall", "cpu")] for name, spent in found.items()}
    for name, (wall, cpu) in table.items():
        print(f"{name:<8} {wall:8.1f} s wall {cpu:8.1f} s CPU {megapixels / cpu:8.2f} Mpx per CPU second")
    floor = max(("read", "forward"), key=lambda name: table[name][1])
    ratios = {f"run over {floor}": ratio(found, "run", floor), "read over plain": ratio(found, "read", "plain")}
    if options.against:
        ratios["against over run"] = ratio(found, "against", "run")
        print(differences(folder / "run" / slide.stem, folder / "against" / slide.stem) or "outputs: equal to the bit")
    print(", ".join(f"{name}: {value:.2f}" for name, value in ratios.items()) + " (CPU seconds, median of the rounds)")
    stages = record["seconds"]["workers"]
    print(
        "worker seconds of the last run (wall): " + ", ".join(f"{name} {value:.1f}" for name, value in stages.items())
    )
    write_table(options.json, {"megapixels": megapixels, "seconds": table, "ratios": ratios, "stages": stages})


if __name__ == "__main__":
    main()
