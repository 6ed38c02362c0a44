"""Frames a second of ``wsipsm view`` with a whole slide of cells: ``python -m benchmarks.viewer``.

A slide, its cells and their labels are generated, served, and looked at with headless Chromium, drawing in software.
While the view moves as if dragged, and while it zooms, frames are counted; a colour is changed, a filter is moved.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.exports import CORE_PX, generate
from tests.helpers.slidegen import mosaic, read_rgb, write_endless
from wsipsm.slide.sample import he_field

CELLS = 592_349
SECONDS = 5
SCREENS = {"whole slide": 16.0, "5x": 2.0, "10x": 1.0, "20x": 0.5, "40x": 0.25}
"""Resolution of the screen in each measurement of panning, um/px."""

PAN = """async ([mpp, seconds]) => {
  const { scene, facts } = wsipsm.shown, times = [];
  scene.go([facts.width / 2, facts.height / 2], mpp, true);
  const begin = performance.now();
  for (let now = begin; now - begin < seconds * 1000; ) {
    const turn = (now - begin) / 1000;
    scene.go([facts.width / 2 + (facts.width / 8) * Math.sin(turn / 2) * Math.min(1, mpp / 2),
              facts.height / 2 + (facts.height / 8) * Math.sin(turn / 3) * Math.min(1, mpp / 2)], mpp, true);
    now = await new Promise(requestAnimationFrame);
    times.push(now);
  }
  return times;
}"""
ZOOM = """async ([seconds]) => {
  const { scene, facts } = wsipsm.shown, times = [];
  const begin = performance.now();
  for (let now = begin; now - begin < seconds * 1000; ) {
    const turn = (now - begin) / (seconds * 1000);
    scene.go([facts.width / 2, facts.height / 2], 16 * 0.0156 ** (turn < 0.5 ? 2 * turn : 2 - 2 * turn), true);
    now = await new Promise(requestAnimationFrame);
    times.push(now);
  }
  return times;
}"""
CHANGE = """async ([mpp, what]) => {
  const { scene, facts, panel } = wsipsm.shown;
  scene.go([facts.width / 2, facts.height / 2], mpp, true);
  await new Promise((done) => setTimeout(done, 3000));
  const begin = performance.now();
  if (what === "filter") await panel.setFilter("solidity", [0.3, 0.6]);
  else await panel.colourBy(what);
  await new Promise(requestAnimationFrame);
  await new Promise((done) => setTimeout(done, 0));
  return performance.now() - begin;
}"""


def main(cells: int, folder: Path) -> None:
    out = folder / "out"
    if not (out / "slide" / "run.json").is_file():
        make(folder, cells)
    with served(out) as link, sync_playwright() as play:
        browser = play.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto(link)
        page.wait_for_selector("body[data-ready]", timeout=120_000)
        print(f"{page.inner_text('#shown')} cells, Chromium {browser.version} in software, 1280 x 800")
        print(f"time until the slide stands: {page.evaluate('performance.now()') / 1000:.1f} s")
        measure(page)
        browser.close()


def measure(page: Page) -> None:
    for name, mpp in SCREENS.items():
        for turn in ("tiles new", "tiles here"):
            show(f"pan {name} ({mpp:g} um/px), {turn}", page.evaluate(PAN, [mpp, SECONDS]))
    for turn in ("tiles new", "tiles here"):
        show(f"zoom 16 to 0.25 um/px and back, {turn}", page.evaluate(ZOOM, [2 * SECONDS]))
    for mpp in SCREENS.values():
        for what in ("eccentricity", "class", "eccentricity", "filter"):
            ms = page.evaluate(CHANGE, [mpp, what])
            print(f"{f'recolour by {what} at {mpp:g} um/px':<48}{ms:6.0f} ms (<= 500)", flush=True)
        page.evaluate("wsipsm.shown.panel.setFilter('solidity', null)")


def show(what: str, times: list[float]) -> None:
    gaps = sorted(b - a for a, b in pairwise(times))
    fps = 1000 * len(gaps) / (times[-1] - times[0])
    print(f"{what:<48}{fps:6.1f} frames/s (>= 20), slowest in twenty {gaps[int(len(gaps) * 0.95)]:.0f} ms", flush=True)


def make(folder: Path, cells: int) -> None:
    """Output folder with one slide."""
    slide = folder / "out" / "slide"
    slide.mkdir(parents=True, exist_ok=True)
    count = generate(slide, cells)
    record = json.loads((slide / "run.json").read_text())
    facts = record["slide"]
    path = write_endless(
        folder / "slide.tiff", mosaic([read_rgb(he_field())], 2048), facts["width_l0"], mpp=facts["mpp_l0"]
    )
    facts |= {"path": str(path), "mpp_source": "tiff.XResolution"}
    record["grid"] = {"downsample": 2.0}
    record["config"]["tiles"] = {"core_px": CORE_PX}
    record["counts"] |= {"mm2": (facts["width_l0"] * facts["mpp_l0"] / 1000) ** 2, "tiles": 1}
    record["failed_tiles"] = {}
    (slide / "run.json").write_text(json.dumps(record))
    print(f"{count:,} cells generated on a slide of {facts['width_l0']} x {facts['height_l0']} px")


@contextmanager
def served(out: Path) -> Iterator[str]:
    """Link of a viewer that runs meanwhile."""
    command = [str(Path(sys.executable).with_name("wsipsm")), "view", str(out), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=CELLS)
    parser.add_argument("--folder", type=Path, help="keep the files there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        main(given.cells, given.folder or Path(temporary))
