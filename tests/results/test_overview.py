"""The overview: which places it shows, and that what it draws is where it belongs."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wsipsm.core.geometry import Box, Image
from wsipsm.results.draw import fill
from wsipsm.results.overview import Bins, CloseUp, Overview, draw_overview, pick_closeups, thumbnail_mpp
from wsipsm.results.overview.maps import crop_panel, density_per_mm2, nice_number, on_panel, positive_percent

PLANE = Box(0, 0, 1000, 800)


def overview(**changes: object) -> Overview:
    """A slide of 4000 x 3200 level-0 px at 0.25 um with a square of tissue, 20 cells a bin of 256 px."""
    thumbnail = np.full((200, 250, 3), 240, np.uint8)
    thumbnail[50:150, 50:200] = (200, 120, 170)
    counts = np.zeros((13, 16), np.int64)
    counts[3:9, 3:12] = 20
    square = np.array([[10.0, 10], [30, 10], [30, 25], [10, 25]])
    plain = Overview(
        name="slide.svs",
        facts=("1,080 cells", "0.24 mm² of tissue", "0.25 µm per pixel"),
        thumbnail=thumbnail,
        downsample_l0=16.0,
        mpp_l0=0.25,
        region=shapely.MultiPolygon([shapely.box(800, 800, 3200, 2400)]),
        counts=counts,
        bin_l0=256.0,
        closeups=(
            CloseUp(np.full((256, 256, 3), 200, np.uint8), (1000, 1000, 1512, 1512), (square,), "densest"),
            CloseUp(np.full((256, 256, 3), 220, np.uint8), (2000, 1500, 2512, 2012), (), "typical"),
        ),
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def coloured(image: Image) -> int:
    return int((np.ptp(image.astype(int), axis=2) > 60).sum())


def pick(
    counts: np.ndarray, *, bin_px: float = 100, side_px: int = 100, plane: Box = PLANE, **planes: np.ndarray
) -> dict[str, Box]:
    """Close-ups where nothing is doubtful, the region is everywhere and all confidences are 1, unless given."""
    usual = {"confidence": counts, "doubtful": np.zeros_like(counts), "covered": np.ones(counts.shape)}
    return pick_closeups(Bins(counts, **(usual | planes)), bin_px=bin_px, side_px=side_px, plane=plane)


def test_the_densest_and_the_median_place_are_picked() -> None:
    counts = np.zeros((8, 10), int)
    counts[1, 1:3] = 9
    counts[5, 2], counts[6, 7], counts[3, 8], counts[7, 9], counts[4, 4] = 4, 5, 6, 7, 8

    boxes = pick(counts)

    assert boxes == {"Densest place": Box(100, 100, 200, 200), "Typical place": Box(900, 700, 1000, 800)}
    assert np.median(counts[counts > 0]) == 7


def test_the_typical_place_lies_inside_the_region_where_there_is_one() -> None:
    counts, covered = np.full((8, 10), 5), np.ones((8, 10))
    counts[0, 0] = 50
    counts[2:7, 2:9] = 9
    counts[2, 2], counts[6, 8] = 40, 1
    covered[:2], covered[:, :2] = 0, 0.5

    typical = pick(counts, covered=covered)["Typical place"]
    at_the_rim = pick(np.where(covered < 1, counts, 0), covered=covered)["Typical place"]

    assert typical.intersect(Box(300, 300, 1000, 800)) == typical
    assert counts[typical.y0 // 100, typical.x0 // 100] == 9
    assert at_the_rim.x0 < 200 or at_the_rim.y0 < 200


def test_the_typical_place_has_the_median_confidence() -> None:
    counts = np.full((8, 10), 10)
    confidence = np.full((8, 10), 9.0)
    confidence[:, 5:] = 3.0
    confidence[6, 4:6] = 6.0
    counts[0, 0] = 11

    assert pick(counts, confidence=confidence)["Typical place"] == Box(400, 600, 500, 700)


def test_the_typical_place_is_free_of_doubtful_cells_where_half_of_the_places_are() -> None:
    counts, doubtful = np.full((8, 10), 10), np.zeros((8, 10), int)
    counts[0, 0] = 11
    doubtful[2:6, 2:8] = 4

    typical = pick(counts, doubtful=doubtful)["Typical place"]

    assert doubtful[typical.y0 // 100, typical.x0 // 100] == 0


def test_the_most_doubtful_place_needs_ten_cells_in_one_close_up() -> None:
    counts, doubtful = np.zeros((8, 10), int), np.zeros((8, 10), int)
    doubtful[4, 6], doubtful[0, 0] = 10, 9

    assert list(pick(counts, doubtful=doubtful).values()) == [Box(600, 400, 700, 500)]
    assert pick(counts, doubtful=np.minimum(doubtful, 9)) == {}
    assert len(pick(counts + 1, doubtful=doubtful)) == 3


def test_a_close_up_larger_than_a_bin_sums_its_bins() -> None:
    counts = np.zeros((8, 10), int)
    counts[0, 0] = 10
    counts[4:6, 4:6] = 3

    assert pick(counts, side_px=200)["Densest place"] == Box(400, 400, 600, 600)


def test_without_cells_there_is_no_close_up_and_with_one_place_one() -> None:
    assert pick(np.zeros((3, 3), int)) == {}
    assert list(pick(np.ones((1, 1), int), plane=Box(0, 0, 60, 50)).values()) == [Box(0, 0, 60, 50)]


@given(
    counts=arrays(np.int64, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.integers(0, 5)),
    doubtful=st.integers(0, 6),
    inside=st.integers(0, 12),
    side_px=st.integers(16, 400),
)
def test_close_ups_lie_in_the_plane_and_the_first_holds_the_most(
    counts: np.ndarray, doubtful: int, inside: int, side_px: int
) -> None:
    plane = Box(0, 0, counts.shape[1] * 64 - 7, counts.shape[0] * 64 - 30)
    covered = np.ones(counts.shape)
    covered[inside:] = 0

    boxes = list(
        pick(
            counts, bin_px=64, side_px=side_px, plane=plane, doubtful=np.roll(counts, 1) * doubtful, covered=covered
        ).values()
    )

    assert len(boxes) == len(set(boxes)) <= 3
    assert all(box.intersect(plane) == box and not box.empty for box in boxes)
    bins = max(1, round(side_px / 64))
    if counts.any() and bins == 1:
        assert counts.max() in counts[boxes[0].y0 // 64 :, boxes[0].x0 // 64 :][:2, :2]


def test_the_density_of_evenly_spread_cells_is_their_number_over_the_area() -> None:
    counts = np.full((13, 16), 20)
    bin_mm2 = (256 * 0.25 / 1000) ** 2
    everywhere = shapely.MultiPolygon([shapely.box(0, 0, 4096, 3328)])

    density = density_per_mm2(overview(counts=counts, region=everywhere))

    assert density == pytest.approx(np.full((13, 16), 20 / bin_mm2), rel=0.02)


def test_density_outside_the_region_is_zero_and_half_covered_bins_count_half_the_area() -> None:
    counts = np.zeros((13, 16), int)
    counts[:, :8], counts[:, 8] = 20, 10
    half = shapely.MultiPolygon([shapely.box(0, 0, 8.5 * 256, 3328)])

    density = density_per_mm2(overview(counts=counts, region=half))

    assert (density[:, 9:] == 0).all()
    assert density[6, 8] == pytest.approx(density[6, 2], rel=0.15)


def test_a_bin_is_drawn_where_it_lies_on_the_slide() -> None:
    shown = overview()
    panel, frame = crop_panel(shown, width=600)
    lattice = np.zeros((13, 16), np.float32)
    lattice[5, 7] = 1

    drawn = on_panel(lattice, frame, shown.bin_l0)

    y, x = np.unravel_index(int(drawn.argmax()), drawn.shape)
    centre = frame.to_panel(np.array([[7.5 * 256, 5.5 * 256]]))[0]
    assert drawn.shape == panel.shape[:2]
    assert abs(x + 0.5 - centre[0]) <= 1
    assert abs(y + 0.5 - centre[1]) <= 1


def test_the_map_shows_the_region_with_a_rim_and_keeps_its_place() -> None:
    shown = overview()

    panel, frame = crop_panel(shown, width=600)

    tissue = np.ptp(panel.astype(int), axis=2) > 40
    drawn = fill(tissue.shape, [frame.to_panel(np.array(shown.region.geoms[0].exterior.coords))])
    assert (tissue & drawn).sum() / (tissue | drawn).sum() > 0.97
    assert panel.shape == (frame.height, frame.width, 3)
    assert not tissue[0].any()


@pytest.mark.parametrize("value", [0.03, 1, 7.3, 99, 1000, 123_456])
def test_nice_numbers_enclose_the_value(value: float) -> None:
    above, below = nice_number(value, up=True), nice_number(value, up=False)

    assert below <= value * (1 + 1e-9)
    assert above >= value * (1 - 1e-9)
    assert above / below < 2.6
    assert f"{above:e}"[0] in "125"
    assert f"{below:e}"[0] in "125"


def test_the_picture_shows_outlines_and_changes_with_the_cells() -> None:
    plain = draw_overview(overview())
    closeup = overview().closeups[0]
    bare = draw_overview(overview(closeups=(dataclasses.replace(closeup, outlines=()), overview().closeups[1])))

    changed = (plain != bare).any(axis=2)

    y, x = np.nonzero(changed)
    zoom = 744 / 256
    assert plain.shape == bare.shape
    assert x.max() - x.min() == pytest.approx(20 * zoom + 2, abs=4)
    assert y.max() - y.min() == pytest.approx(15 * zoom + 2, abs=4)
    assert (plain[changed][:, 1] > plain[changed][:, 0]).mean() > 0.9


def test_each_outline_takes_its_own_colour() -> None:
    closeup = dataclasses.replace(overview().closeups[0], colors=((255, 0, 0),))

    picture = draw_overview(overview(closeups=(closeup,)))

    assert (picture == (255, 0, 0)).all(axis=2).sum() > 50


def test_three_close_ups_stand_side_by_side() -> None:
    colors = (255, 0, 0), (0, 0, 255), (230, 160, 0)
    place = overview().closeups[0]
    three = tuple(dataclasses.replace(place, colors=(color,)) for color in colors)

    picture = draw_overview(overview(closeups=three))

    columns = [np.nonzero((picture == color).all(axis=2))[1] for color in colors]
    assert all(len(column) > 50 for column in columns)
    assert [int(column.mean() // (1600 / 3)) for column in columns] == [0, 1, 2]
    assert picture.shape[0] < draw_overview(overview()).shape[0]


def test_a_slide_without_cells_or_tissue_gives_a_picture_that_is_plain() -> None:
    empty = overview(counts=np.zeros((13, 16), int), closeups=())
    nothing = dataclasses.replace(empty, region=shapely.MultiPolygon(), thumbnail=np.full((200, 250, 3), 245, np.uint8))

    assert draw_overview(empty).shape[1] == 1600
    assert coloured(draw_overview(nothing)) == 0
    assert coloured(draw_overview(overview())) > 100_000


def test_hostile_shapes_are_drawn() -> None:
    slim = overview(
        thumbnail=np.full((3, 900, 3), 200, np.uint8),
        region=shapely.MultiPolygon([shapely.box(0, 0, 14_400, 48)]),
        counts=np.ones((1, 57), int),
        name="a long name " * 20,
    )

    assert draw_overview(slim).shape[1] == 1600


def test_the_picture_is_the_same_every_time() -> None:
    assert np.array_equal(draw_overview(overview()), draw_overview(overview()))


def test_the_thumbnail_is_sharp_on_the_region_and_small_on_the_slide() -> None:
    slide = Box(0, 0, 100_000, 80_000)

    assert thumbnail_mpp(Box(0, 0, 72_000, 5), slide, 0.25) == pytest.approx(25)
    assert thumbnail_mpp(Box(0, 0, 1000, 1000), slide, 0.25) == pytest.approx(100_000 / 4096 * 0.25)
    assert thumbnail_mpp(Box(0, 0, 0, 0), slide, 0.25) == pytest.approx(100_000 / 720 * 0.25)
    assert thumbnail_mpp(Box(0, 0, 9, 9), Box(0, 0, 9, 9), 0.25) == 0.25


def test_letters_that_the_font_lacks_are_not_boxes() -> None:
    with_micro = draw_overview(overview(facts=("µµµ ²²²",)))
    with_plain = draw_overview(overview(facts=("uuu 222",)))

    line = np.s_[80:125, 40:200]
    assert cv2.absdiff(with_micro[line], with_plain[line]).mean() < 25
    assert (with_micro[line] != with_plain[line]).any()


def test_warnings_stand_in_lines_of_their_own_under_the_facts() -> None:
    plain, short = draw_overview(overview()), draw_overview(overview(warnings=("blurred",)))
    long = draw_overview(overview(warnings=("blurred", "many refused cells, " * 20)))

    line = short.shape[0] - plain.shape[0]
    assert line > 20
    assert long.shape[0] - plain.shape[0] == line * 5
    amber = np.abs(long.astype(int) - (176, 96, 0)).max(axis=2) < 40
    x = np.flatnonzero(amber.any(axis=0))
    assert x.min() >= 40
    assert x.max() < 1560
    assert np.array_equal(short[-200:], plain[-200:])


def test_the_index_map_is_the_share_around_a_place_and_blank_where_cells_are_few() -> None:
    counts, positive = np.zeros((13, 16), np.int64), np.zeros((13, 16), np.int64)
    counts[3:9, 3:7], counts[3:9, 9:12] = 20, 2
    positive[3:9, 3:7], positive[3:9, 9:12] = 5, 2
    shown = overview(counts=counts, positive=positive)
    _, frame = crop_panel(shown, width=600)

    percent, known = positive_percent(shown, frame)

    def at(row: int, col: int) -> tuple[int, int]:
        """Pixel of the panel at the centre of a bin."""
        x, y = frame.to_panel(np.array([[(col + 0.5) * 256, (row + 0.5) * 256]]))[0]
        return int(y), int(x)

    assert percent[at(5, 4)] == pytest.approx(25)
    assert known[at(5, 4)]
    assert not known[at(5, 10)]  # nine bins of two cells are eighteen


def test_positive_cells_and_hot_spots_change_the_right_map_alone() -> None:
    plain, positive = overview(), overview().counts // 4
    marked = draw_overview(overview(positive=positive))
    with_spots = draw_overview(overview(positive=positive, hot_spots=((1000.0, 1200.0, 1800.0, 2000.0),)))

    before = draw_overview(plain)
    assert marked.shape == before.shape
    assert (marked[:, :780] == before[:, :780]).all()
    assert (marked[:, 820:] != before[:, 820:]).any()
    assert (with_spots != marked).any()
    assert (with_spots[:, :780] == marked[:, :780]).all()


def test_a_slide_with_too_few_cells_for_an_index_map_says_so_and_stays_pale() -> None:
    few = np.zeros((13, 16), np.int64)
    few[5, 5] = 3

    assert coloured(draw_overview(overview(counts=few, positive=few, closeups=()))) < coloured(
        draw_overview(overview(positive=overview().counts, closeups=()))
    )
