"""The page of a training: its pictures, curves and tables, and that it needs no network."""

from __future__ import annotations

import base64
import io
from html.parser import HTMLParser

import numpy as np
import numpy.typing as npt
from PIL import Image
from skimage.draw import disk
from skimage.segmentation import find_boundaries

from wsipsm.training.metrics import Row
from wsipsm.training.pictures import SCALE, SHOWN_PX, outlined, panels, spread
from wsipsm.training.pseudo_labels import PseudoLabels
from wsipsm.training.report import render

RECORD = {
    "inputs": [
        {"name": "a", "path": "/s/a.svs", "mpp": None},
        {"name": "b", "path": "/s/<b>.svs", "mpp": 0.25},
        {"name": "c", "path": "/s/c.svs", "mpp": None},
    ],
    "skipped": [{"path": "/s/c.svs", "reason": "no tissue found"}],
    "config": {"training": {"steps": 30}},
    "stages": {"fields": {"seconds": 1.0, "digest": "0"}, "segmenter": {"seconds": 1234.0, "digest": "1"}},
    "rounds": {"10": {"instances": 2000, "doubtful": 100}, "2": {"instances": 1000, "doubtful": 250}},
}


def field() -> tuple[npt.NDArray[np.uint8], PseudoLabels]:
    labels = np.zeros((200, 240), np.int32)
    labels[disk((100, 120), 12)] = 1
    labels[disk((100, 143), 12)] = 2
    image = np.random.default_rng(0).integers(120, 250, (200, 240, 3), dtype=np.uint8)
    activation = (labels > 0).astype(np.uint8) * 200
    return image, PseudoLabels(labels, np.where(labels > 0, 0.9, 0.1).astype(np.float32), activation)


def opened(content: bytes) -> npt.NDArray[np.uint8]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


class _Checker(HTMLParser):
    """Collects what a page refers to, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.tags: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.references += [value or "" for name, value in attrs if name in {"src", "href", "srcset", "data"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def checked(page: str) -> _Checker:
    checker = _Checker()
    checker.feed(page)
    return checker


def test_outlines_are_the_inner_boundaries_of_scikit_image() -> None:
    image, pseudo = field()

    drawn = outlined(image, pseudo.labels)

    changed = (drawn != image).any(axis=-1)
    np.testing.assert_array_equal(changed, find_boundaries(pseudo.labels, mode="inner", connectivity=1))


def test_panels_show_the_middle_of_the_field_in_the_order_of_the_path() -> None:
    image, pseudo = field()

    shown = dict(panels(image, pseudo, pseudo))

    assert list(shown) == [
        "image", "activation map", "pseudo mask", "pseudo labels", "nucleus probability", "what the segmenter finds",
    ]  # fmt: skip
    y, x = (200 - SHOWN_PX) // 2, (240 - SHOWN_PX) // 2
    np.testing.assert_array_equal(opened(shown["image"]), image[y : y + SHOWN_PX, x : x + SHOWN_PX])
    assert opened(shown["pseudo labels"]).shape == (SCALE * SHOWN_PX, SCALE * SHOWN_PX, 3)
    mask, inside = opened(shown["pseudo mask"]).astype(int), pseudo.labels[y : y + SHOWN_PX, x : x + SHOWN_PX] > 0
    np.testing.assert_array_equal(np.ptp(mask, axis=-1) > 0, inside)
    assert len(np.unique(opened(shown["activation map"]).reshape(-1, 3), axis=0)) == 2


def test_before_there_is_a_segmenter_its_pictures_are_left_out() -> None:
    image, pseudo = field()

    assert len(panels(image, pseudo, None)) == 4


def test_fields_are_shown_of_all_slides_first() -> None:
    assert spread([3, 1], 3) == [(0, 0), (1, 0), (0, 1)]
    assert spread([8] * 100, 6) == [(0, 0), (20, 0), (40, 0), (59, 0), (79, 0), (99, 0)]
    assert spread([2], 6) == [(0, 0), (0, 1)]


def test_the_page_needs_no_network_and_names_everything() -> None:
    image, pseudo = field()
    rows = [("a & b, field 1", panels(image, pseudo, pseudo))]
    metrics = [Row("encoder", 0, s, 1 / s, 0.1) for s in range(1, 41)]
    metrics += [Row("segmenter", r, s, 1 / s, 0.1) for r in (0, 1) for s in range(1, 31)]

    page = render(RECORD, metrics, rows)

    found = checked(page)
    assert found.tags.count("img") == 6
    assert all(reference.startswith("data:image/png;base64,") for reference in found.references)
    assert "url(" not in page
    assert "script" not in found.tags
    first = base64.b64decode(found.references[0].split(",")[1])
    assert opened(first).shape == (SHOWN_PX, SHOWN_PX, 3)
    assert found.tags.count("svg") == 3
    for text in ("a & b, field 1", "encoder,", "segmenter, round 1", "/s/<b>.svs", "no tissue found", "25.0%", "1,234"):
        assert text in found.text
    assert found.text.index("1,000") < found.text.index("2,000"), "rounds in the order of numbers"
    assert found.text.count("/s/c.svs") == 1, "what is left out is not among the slides"


def test_a_training_that_has_only_begun_has_a_page() -> None:
    page = render({**RECORD, "rounds": {}, "skipped": []}, [], [])

    assert "Labels of each round" not in page
