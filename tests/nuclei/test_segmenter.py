"""The segmenter: what a pixel depends on, frozen copies, its checkpoint and its recogniser."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from skimage.io import imread

from wsipsm.config import Config, SegmenterConfig
from wsipsm.core.errors import CheckpointError, FitError
from wsipsm.core.maps import CHANNELS, DECISION
from wsipsm.core.stains import Stain
from wsipsm.nuclei.calibrate import calibrate_segmenter, load_segmenter
from wsipsm.nuclei.levels import Levels
from wsipsm.nuclei.load import fits, load_recognizer
from wsipsm.nuclei.models import SHIPPED_MPP, shipped_model
from wsipsm.nuclei.nets.blocks import folded
from wsipsm.nuclei.nets.checkpoint import load_checkpoint, save_checkpoint
from wsipsm.nuclei.nets.shape import SegmenterShape
from wsipsm.nuclei.nets.unet import Segmenter
from wsipsm.nuclei.recognizer import SegmenterRecognizer
from wsipsm.nuclei.segmentation import SegmentationNet, evidence_of, network_input
from wsipsm.slide.sample import he_field
from wsipsm.stain.normalise import SlideStats, measure_slide, relative_planes

CPU = "cpu"
SHAPE = SegmenterShape(3, (4, 8, 12, 16))
STATS = SlideStats((0.9, 1.1, 0.8), 0.4)


def network(seed: int = 0) -> Segmenter:
    torch.manual_seed(seed)
    return Segmenter(SHAPE).eval()


def frozen(seed: int = 0) -> SegmentationNet:
    return SegmentationNet.of_network(network(seed), mpp=0.5, provenance={"seed": seed}, device=CPU)


@pytest.fixture(scope="module")
def field() -> np.ndarray:
    """H&E of 500 x 500 px at 0.5 um/px."""
    return np.ascontiguousarray(imread(he_field())[::2, ::2, :3])


@pytest.fixture(scope="module")
def shipped() -> SegmentationNet:
    return load_segmenter(shipped_model(), mpp=0.5, device=CPU)


def test_what_lies_outside_the_halo_hardly_moves_the_shipped_network(
    field: np.ndarray, shipped: SegmentationNet
) -> None:
    halo, stats, core = shipped.halo_px, measure_slide(field[None]), slice(192, 256)
    reach = slice(core.start - halo, core.stop + halo)

    alone = shipped.maps(np.ascontiguousarray(field[reach, reach]), stats)
    whole = shipped.maps(field, stats)

    for one, other in zip(alone, whole, strict=True):
        assert np.abs(one[halo:-halo, halo:-halo] - other[core, core]).max() < 1e-3


def test_maps_move_with_the_image_by_whole_strides(field: np.ndarray, shipped: SegmentationNet) -> None:
    stats, stride = measure_slide(field[None]), shipped.network.shape.stride

    whole, moved = shipped.maps(field[:320, :320], stats), shipped.maps(field[stride:328, 2 * stride : 336], stats)

    for one, other in zip(whole, moved, strict=True):
        np.testing.assert_allclose(other[80:200, 80:200], one[88:208, 96:216], atol=1e-3)


def test_the_receptive_field_ends_a_little_beyond_the_halo() -> None:
    net = network().double()
    planes = torch.rand(1, 3, 192, 192, dtype=torch.float64, requires_grad=True)

    (gradient,) = torch.autograd.grad(net(planes)[0, :, 96, 96].sum(), planes)

    reach = (gradient[0].abs().sum(0).nonzero() - 96).abs().max()
    assert SHAPE.halo_px < reach <= SHAPE.halo_px + 10


def test_a_folded_copy_says_the_same() -> None:
    net, planes = network(), torch.rand(2, 3, 64, 64)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -1, 1)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)

    with torch.inference_mode():
        torch.testing.assert_close(folded(net)(planes), net(planes), rtol=1e-4, atol=1e-5)


def test_the_input_is_density_over_the_slide_s_own_filled_up_with_glass() -> None:
    image = np.full((9, 16, 3), (25, 127, 255), np.uint8)

    planes = network_input(image, STATS, 8)

    assert planes.shape == (16, 16, 3)
    np.testing.assert_allclose(planes[0, 0], -np.log10(np.array([26, 128, 256]) / 256) / STATS.od_p99, rtol=1e-5)
    assert not planes[9:].any()


def test_a_slide_stained_more_strongly_looks_the_same(field: np.ndarray, shipped: SegmentationNet) -> None:
    density = np.log10(256 / (field.astype(float) + 1))
    strong = np.clip(256 * 10 ** (-1.3 * density) - 1, 0, 255).round().astype(np.uint8)

    usual, _ = shipped.maps(field, measure_slide(field[None]))
    stronger, _ = shipped.maps(strong, measure_slide(strong[None]))

    assert np.corrcoef(usual.ravel(), stronger.ravel())[0, 1] > 0.97


def test_evidence_is_smoothed_depth_where_it_is_deep_enough() -> None:
    depth = np.random.default_rng(0).uniform(-0.2, 1.2, (40, 40)).astype(np.float32)

    found = evidence_of(depth, threshold=0.1, smoothing_px=1.0)

    assert ((found >= DECISION) == (depth > 0.1)).all()
    expected = DECISION + 127 * np.clip(gaussian_filter(depth, 1.0, truncate=3, mode="mirror"), 0, 1)
    inside = depth > 0.1
    assert np.abs(found[inside] - expected[inside]).max() < 1.1


def test_a_checkpoint_gives_the_network_back(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "model.safetensors", frozen().checkpoint())

    again = load_segmenter(tmp_path / "model.safetensors", mpp=0.5, device=CPU)

    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    for one, other in zip(again.maps(image, STATS), frozen().maps(image, STATS), strict=True):
        np.testing.assert_array_equal(one, other)
    assert again.provenance == {"seed": 0}


def test_a_checkpoint_of_another_resolution_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "model.safetensors", frozen().checkpoint())

    with pytest.raises(CheckpointError, match=r"trained at 0\.5 µm/px, the run asks for 0\.25"):
        load_segmenter(tmp_path / "model.safetensors", mpp=0.25, device=CPU)


def test_a_checkpoint_for_other_stains_is_refused(tmp_path: Path) -> None:
    net = SegmentationNet.of_network(frozen().network, mpp=0.5, stain="unknown", provenance={}, device=CPU)
    save_checkpoint(tmp_path / "model.safetensors", net.checkpoint())

    with pytest.raises(CheckpointError, match=r"recognizer\.stain=unknown, expected he"):
        load_segmenter(tmp_path / "model.safetensors", mpp=0.5, device=CPU)
    assert load_segmenter(tmp_path / "model.safetensors", mpp=0.5, stain="unknown", device=CPU).stain == "unknown"


def test_a_checkpoint_from_before_stains_had_names_is_of_named_ones(tmp_path: Path) -> None:
    old = frozen().checkpoint()
    del old.table["stain"]
    save_checkpoint(tmp_path / "model.safetensors", old)

    assert load_segmenter(tmp_path / "model.safetensors", mpp=0.5, device=CPU).stain == "he"


@pytest.mark.parametrize("missing", ["shape", "mpp"])
def test_a_checkpoint_without_its_table_is_refused(tmp_path: Path, missing: str) -> None:
    whole = frozen().checkpoint()
    del whole.table[missing]
    save_checkpoint(tmp_path / "model.safetensors", whole)

    with pytest.raises(CheckpointError, match="no segmenter"):
        load_segmenter(tmp_path / "model.safetensors", mpp=0.5, device=CPU)


def test_tensors_of_another_network_are_refused(tmp_path: Path) -> None:
    other = SegmentationNet.of_network(
        Segmenter(SegmenterShape(3, (4, 8))), mpp=0.5, provenance={}, device=CPU
    ).checkpoint()
    other.table["shape"] = SHAPE.to_dict()
    save_checkpoint(tmp_path / "model.safetensors", other)

    with pytest.raises(CheckpointError, match="do not fit"):
        load_segmenter(tmp_path / "model.safetensors", mpp=0.5, device=CPU)


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    content = shipped_model().read_bytes()
    (tmp_path / "model.safetensors").write_bytes(content[: len(content) // 2])

    with pytest.raises(CheckpointError, match="truncated"):
        load_segmenter(tmp_path / "model.safetensors", mpp=0.5, device=CPU)


def test_the_shipped_checkpoint_is_small_and_says_what_it_learnt_from(shipped: SegmentationNet) -> None:
    assert shipped_model().stat().st_size < 10e6
    assert sum(p.numel() for p in shipped.network.parameters()) < 2_000_000
    assert {"inputs", "config", "seed"} <= set(shipped.provenance)
    assert load_checkpoint(shipped_model()).kind == "segmenter"


@pytest.mark.parametrize("stain", ["he", "unknown"])
def test_the_shipped_checkpoints_are_what_the_package_says_without_reading_them(stain: Stain) -> None:
    net = SegmentationNet.of_checkpoint(load_checkpoint(shipped_model(stain)), device=CPU)

    assert net.mpp == SHIPPED_MPP
    assert net.stain == stain


def test_a_recogniser_gives_maps_of_the_block_inside_its_halo(tmp_path: Path, field: np.ndarray) -> None:
    save_checkpoint(tmp_path / "model.safetensors", frozen().checkpoint())
    recognizer = calibrate_segmenter(
        field[None, :256, :256], Config(), model=tmp_path / "model.safetensors", device=CPU
    )
    halo = recognizer.halo_px

    maps = recognizer.block(np.ascontiguousarray(field[: 64 + 2 * halo, : 72 + 2 * halo]))

    assert maps.shape == (len(CHANNELS), 64, 72)
    probability, depth = recognizer.net.maps(field[: 64 + 2 * halo, : 72 + 2 * halo], recognizer.stats)
    np.testing.assert_allclose(maps[0] / 255, probability[halo:-halo, halo:-halo], atol=0.5 / 255 + 1e-5)
    assert ((maps[1] > 0) == (depth[halo:-halo, halo:-halo] > recognizer.levels.threshold)).all()


def test_a_recogniser_is_the_same_after_a_round_trip(tmp_path: Path, field: np.ndarray) -> None:
    recognizer = SegmenterRecognizer(frozen(), STATS, SegmenterConfig(), Levels(1.0, 0.2, {"1": 3.5}, 40), "this slide")
    recognizer.save(tmp_path / "calibration.safetensors")

    again = load_recognizer(tmp_path / "calibration.safetensors", device=CPU)

    assert again.levels == recognizer.levels
    block = np.ascontiguousarray(field[:160, :160])
    np.testing.assert_array_equal(again.block(block), recognizer.block(block))
    assert fits(tmp_path / "calibration.safetensors", "this slide")
    assert not fits(tmp_path / "calibration.safetensors", "another")


def test_white_patches_cannot_be_fitted(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "model.safetensors", frozen().checkpoint())

    with pytest.raises(FitError, match="tissue"):
        calibrate_segmenter(
            np.full((2, 128, 128, 3), 255, np.uint8), Config(), model=tmp_path / "model.safetensors", device=CPU
        )


def test_a_calibrated_segmenter_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    SegmenterRecognizer(frozen(), STATS, SegmenterConfig(), Levels(1.5, 0.2, {}, 40)).save(tmp_path / "fit.pt")
    now = load_checkpoint(tmp_path / "fit.pt")
    old = {"threshold": 0.3, "depth_smoothing_um": 0.7, "rounds": 8, "far_scale": 0.5}
    table = {name: value for name, value in now.table.items() if name != "levels"}
    save_checkpoint(tmp_path / "old.pt", replace(now, table=table | {"settings": old}))

    again = load_recognizer(tmp_path / "old.pt", device=CPU)

    assert isinstance(again, SegmenterRecognizer)
    assert again.config == SegmenterConfig(threshold=0.3, distance_smoothing_um=0.7)
    assert (again.levels.threshold, again.levels.input_scale) == (0.3, 1.0)


@pytest.mark.parametrize("logarithm", [False, True])
def test_a_cpu_finds_the_maps_that_pytorch_finds(field: np.ndarray, logarithm: bool) -> None:
    torch.manual_seed(0)
    shape, image = (
        SegmenterShape(3, (8, 16, 24), logarithm),
        np.ascontiguousarray(field[:131, :150]),
    )  # no whole strides
    net = SegmentationNet.of_network(Segmenter(shape), mpp=0.5, provenance={}, device=CPU)
    planes = np.zeros((132, 152, 3), np.float32)
    planes[:131, :150] = relative_planes(image, STATS)

    with torch.inference_mode():
        logit, distance = net.network(torch.from_numpy(planes).permute(2, 0, 1)[None])[0, :, :131, :150]
    expected = torch.sigmoid(logit).numpy(), distance.numpy()
    whole, (inside,) = net.maps(image, STATS), net.maps_inside([image], STATS, rim_px=20)

    for found, inner, wanted in zip(whole, inside, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(inner, found[20:-20, 20:-20])


@pytest.mark.parametrize("change", [{"planes": 2}, {"planes": 4}, {"widths": []}, {"widths": [8, 0]}])
def test_a_shape_that_no_segmenter_has_is_refused(change: dict[str, object]) -> None:
    checkpoint = frozen().checkpoint()
    checkpoint.table["shape"] |= change

    with pytest.raises(CheckpointError, match="holds no segmenter"):
        SegmentationNet.of_checkpoint(checkpoint, device=CPU)


def test_a_calibration_that_pytorch_wrote_for_an_earlier_version_is_read(tmp_path: Path, field: np.ndarray) -> None:
    recognizer = SegmenterRecognizer(frozen(), STATS, SegmenterConfig(), Levels(1.5, 0.2, {}, 40))
    recognizer.save(tmp_path / "now.safetensors")
    now = load_checkpoint(tmp_path / "now.safetensors")
    table = now.table | {"settings": now.table["settings"] | {"precision": "float32"}}
    content = {
        "format": "wsipsm-checkpoint",
        "version": 1,
        "wsipsm": "0.1",
        "kind": now.kind,
        "table": json.dumps(table),
    }
    torch.save(content | {"tensors": {name: torch.tensor(t) for name, t in now.tensors.items()}}, tmp_path / "old.pt")

    again = load_recognizer(tmp_path / "old.pt", device=CPU)

    block = np.ascontiguousarray(field[100:300, 100:308])
    np.testing.assert_array_equal(again.block(block), recognizer.block(block))
