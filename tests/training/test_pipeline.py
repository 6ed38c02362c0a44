"""The command on images: whole, stopped at a stage, killed and resumed, refused."""

from __future__ import annotations

import contextlib
import csv
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import orjson
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from tests.helpers import forked
from tests.helpers.command import wsipsm
from wsipsm.config import load_config
from wsipsm.core.errors import CheckpointError, DiskFullError, FitError, OutputError, PixelFormatError, ResolutionError
from wsipsm.core.events import Event
from wsipsm.nuclei.calibrate import load_segmenter
from wsipsm.nuclei.nets.device import limited_threads, pick_device
from wsipsm.nuclei.segmentation import SegmentationNet
from wsipsm.slide.sample import he_field
from wsipsm.training.inputs import find_sources, looks_like_labels
from wsipsm.training.pipeline import TrainRequest, train

TINY = (
    "encoder.patches=8",
    "encoder.width=4",
    "encoder.blocks=1",
    "encoder.steps=6",
    "encoder.batch=4",
    "training.threads=1",
    "training.widths=[4,8]",
    "training.patch_px=64",
    "training.batch=2",
    "training.steps=30",
    "training.members=2",
    "training.rounds=2",
    "training.round_steps=20",
    "training.distil_steps=10",
)
STEPS = {
    ("encoder", "0"): 6,
    ("segmenter 1 of 2", "0"): 30,
    ("segmenter 2 of 2", "0"): 30,
    ("segmenter 1 of 2", "1"): 20,
    ("segmenter 2 of 2", "1"): 20,
    ("segmenter", "2"): 20,
    ("distillation", "3"): 10,
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads that wait for each other on a busy machine take thirty times as long."""
    with limited_threads(1):
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two pieces of the packaged H&E field, 400 x 400 px at 0.25 um/px."""
    folder = tmp_path_factory.mktemp("images")
    whole = Image.open(he_field()).convert("RGB")
    for name, corner in (("one", (0, 0)), ("two", (500, 400))):
        whole.crop((*corner, corner[0] + 400, corner[1] + 400)).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def trained(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an undisturbed training leaves."""
    out = tmp_path_factory.mktemp("trained") / "model"
    train(request([images], out))
    return out


def request(inputs: list[Path], out: Path, *more: str, **options: object) -> TrainRequest:
    config = load_config("he", (*TINY, *more))
    return TrainRequest([str(path) for path in inputs], out, config, **{"slide_mpp": 0.25, **options})  # type: ignore[arg-type]


def tensors(path: Path) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_file(path)
    return found


def assert_same_model(found: Path, expected: Path) -> None:
    a, b = tensors(found), tensors(expected)
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in b)


def metrics(out: Path) -> list[dict[str, str]]:
    with (out / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def losses(out: Path) -> list[tuple[str, ...]]:
    return [(row["stage"], row["round"], row["step"], row["loss"]) for row in metrics(out)]


def test_a_training_leaves_every_stage(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}

    assert names == {
        "encoder.safetensors", "fields", "metrics.csv", "model.safetensors", "pseudolabels",
        "round-0.safetensors", "round-1.safetensors", "round-2.safetensors",
        "train.json", "training.html",
    }  # fmt: skip
    assert {path.name for folder in ("fields", "pseudolabels") for path in (trained / folder).iterdir()} == {
        "one.npz",
        "two.npz",
    }
    record = orjson.loads((trained / "train.json").read_bytes())
    assert record["status"] == "done"
    assert list(record["stages"]) == ["fields", "encoder", "pseudolabels", "segmenter"]
    assert set(record["rounds"]) == {"0", "1", "2"}


def test_every_step_is_in_the_table_once(trained: Path) -> None:
    found = [(row["stage"], row["round"], int(row["step"])) for row in metrics(trained)]

    assert found == [(*section, step) for section, steps in STEPS.items() for step in range(1, steps + 1)]
    assert all(np.isfinite(float(row["loss"])) and float(row["seconds"]) >= 0 for row in metrics(trained))


def test_the_model_is_a_segmenter_that_knows_where_it_comes_from(trained: Path) -> None:
    net = load_segmenter(trained / "model.safetensors", mpp=0.5, device=pick_device("cpu"))

    assert isinstance(net, SegmentationNet)
    assert net.network.shape.widths == (4, 8)
    assert [one["name"] for one in net.provenance["inputs"]] == ["one", "two"]
    assert net.provenance["config"]["training"]["steps"] == 30
    assert net.provenance["seconds"]["segmenter"] > 0
    assert set(net.provenance["digests"]) == {"fields", "encoder", "pseudolabels", "segmenter"}
    before, after = tensors(trained / "round-2.safetensors"), tensors(trained / "model.safetensors")
    assert any(not torch.equal(before[key], after[key]) for key in before)


def test_a_finished_training_is_not_done_again(trained: Path, images: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in trained.rglob("*")}
    events = list[Event]()

    model = train(request([images], trained), events.append)

    assert model == trained / "model.safetensors"
    (message,) = events
    assert "already trained" in message.text
    assert {path: path.stat().st_mtime_ns for path in trained.rglob("*") if path.is_file()} == {
        path: stamp for path, stamp in before.items() if path.is_file()
    }


def test_stages_one_by_one_end_as_all_at_once(trained: Path, images: Path, tmp_path: Path) -> None:
    first = train(request([images], tmp_path, stage="pretrain"))
    assert first == tmp_path / "encoder.safetensors"
    assert not any((tmp_path / "pseudolabels").iterdir())

    second = train(request([images], tmp_path, stage="pseudomask"))
    assert second == tmp_path / "pseudolabels"
    with np.load(second / "one.npz") as kept:
        assert kept["labels"].shape == kept["probability"].shape == kept["activation"].shape == (1, 200, 200)
        assert kept["labels"].max() > 20
    assert not (tmp_path / "round-0.safetensors").exists()
    assert "pseudo labels" in (tmp_path / "training.html").read_text()

    train(request([images], tmp_path, stage="segmenter"))
    assert_same_model(tmp_path / "model.safetensors", trained / "model.safetensors")
    assert losses(tmp_path) == losses(trained)


def test_the_segmenter_alone_asks_for_what_comes_before(images: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="wsipsm pseudomask"):
        train(request([images], tmp_path, stage="segmenter"))


def kill_when(training: TrainRequest, reached: Callable[[], bool]) -> None:
    """Start a training in another process, and SIGKILL it as soon as something is reached."""
    process = forked.start(train, training)
    deadline = time.monotonic() + 60
    while process.is_alive() and not reached() and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL


def test_a_training_killed_in_every_stage_ends_like_an_undisturbed_one(
    trained: Path, images: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)

    def lines() -> int:
        with contextlib.suppress(OSError):
            return (tmp_path / "metrics.csv").read_text().count("\n")
        return 0

    for name, steps in (
        ("fields/one.npz", 0),
        ("metrics.csv", int(rng.integers(2, 6))),
        ("pseudolabels/one.npz", 0),
        ("round-0-0.state", 6 + int(rng.integers(10, 25))),
        ("round-0-1.state", 36 + int(rng.integers(10, 25))),
        ("round-1-0.state", 66 + int(rng.integers(5, 15))),
        ("round-3-0.state", 126 + int(rng.integers(2, 6))),
    ):
        kill_when(
            request([images], tmp_path, device="cpu"),
            lambda name=name, steps=steps: (tmp_path / name).exists() and lines() > steps,  # type: ignore[misc]
        )
        assert not (tmp_path / "model.safetensors").exists(), name
    settings = [part for setting in TINY for part in ("--set", setting)]
    done = wsipsm("train", images, "-o", tmp_path, "--slide-mpp", "0.25", "--device", "cpu", *settings)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{tmp_path / 'model.safetensors'}: use it with wsipsm run")
    assert_same_model(tmp_path / "model.safetensors", trained / "model.safetensors")
    assert losses(tmp_path) == losses(trained)
    left = [path for path in tmp_path.rglob("*") if path.suffix == ".state"]
    assert not left


def test_a_torn_last_line_of_the_table_is_written_again(trained: Path, images: Path, tmp_path: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(event: Event) -> None:
        if event.loss is not None and event.step == 12:
            raise KilledError

    with pytest.raises(KilledError):
        train(request([images], tmp_path), kill)
    table = tmp_path / "metrics.csv"
    table.write_bytes(table.read_bytes()[:-4])

    train(request([images], tmp_path))

    assert losses(tmp_path) == losses(trained)


def test_another_training_is_refused_until_fresh(images: Path, trained: Path, tmp_path: Path) -> None:
    train(request([images], tmp_path, stage="pretrain"))
    (tmp_path / "notes.txt").write_text("mine")

    with pytest.raises(OutputError, match="--fresh"):
        train(request([images], tmp_path, "encoder.steps=5", stage="pretrain"))
    with pytest.raises(OutputError, match="--fresh"):
        train(request([images / "one.png"], tmp_path, stage="pretrain"))
    assert tensors(tmp_path / "encoder.safetensors").keys() == tensors(trained / "encoder.safetensors").keys()
    train(request([images], tmp_path, "encoder.steps=5", stage="pretrain", fresh=True))

    assert len(metrics(tmp_path)) == 5
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_settings_of_later_stages_may_change_before_they_begin(images: Path, tmp_path: Path) -> None:
    train(request([images], tmp_path, stage="pretrain"))
    before = (tmp_path / "encoder.safetensors").stat().st_mtime_ns

    train(request([images], tmp_path, "training.steps=31", stage="pseudomask"))

    assert (tmp_path / "encoder.safetensors").stat().st_mtime_ns == before


def test_a_model_may_be_the_start(trained: Path, images: Path, tmp_path: Path) -> None:
    """The first round learns the labels of the model given, and goes on from its weights."""
    once = ("training.rounds=0", "training.steps=1", "training.learning_rate=1e-9", "training.distil_steps=0")

    train(request([images], tmp_path, *once, init=trained / "model.safetensors"))

    found, given = tensors(tmp_path / "model.safetensors"), tensors(trained / "model.safetensors")
    for key in given:
        if "running" not in key and "tracked" not in key:
            torch.testing.assert_close(found[key], given[key], atol=1e-6, rtol=1e-5)
    record = orjson.loads((tmp_path / "train.json").read_bytes())
    pseudo = orjson.loads((trained / "train.json").read_bytes())
    assert record["rounds"]["0"] != pseudo["rounds"]["0"]
    assert record["init"]["path"].endswith("model.safetensors")


def test_a_start_that_is_no_segmenter_is_refused(trained: Path, images: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="'encoder'"):
        train(request([images], tmp_path / "x", init=trained / "encoder.safetensors"))


def test_slides_without_tissue_are_left_out_by_name(images: Path, tmp_path: Path) -> None:
    blank = tmp_path / "blank.png"
    Image.fromarray(np.full((600, 600, 3), 246, np.uint8) - np.eye(600, dtype=np.uint8)[..., None]).save(blank)
    small = tmp_path / "small.png"
    Image.open(images / "one.png").crop((0, 0, 100, 300)).save(small)
    copied = tmp_path / "copied.png"
    copied.write_bytes((images / "one.png").read_bytes())
    events = list[Event]()

    train(request([images, small, copied], tmp_path / "out", stage="pretrain"), events.append)

    record = orjson.loads((tmp_path / "out" / "train.json").read_bytes())
    reasons = {Path(one["path"]).name: one["reason"] for one in record["skipped"]}
    assert set(reasons) == {"small.png", "copied.png"}
    assert "learn from more tissue" in reasons["small.png"]
    assert "same content" in reasons["copied.png"]
    messages = [event.text for event in events if event.kind == "message"]
    assert [Path(text.split(": ")[1]).name for text in messages] == ["copied.png", "small.png"]


def test_nothing_to_learn_from_is_refused_with_the_reason(images: Path, tmp_path: Path) -> None:
    small = tmp_path / "small.png"
    Image.open(images / "one.png").crop((0, 0, 100, 300)).save(small)

    with pytest.raises(FitError, match="learn from more tissue"):
        train(request([small], tmp_path / "out"))
    with pytest.raises(ResolutionError, match="--slide-mpp"):
        train(request([images], tmp_path / "other", slide_mpp=None))
    with pytest.raises(FitError, match="learn from more tissue"):
        train(request([images / "one.png"], tmp_path / "third", "training.patch_px=128"))


def label_image(kind: str, path: Path) -> Path:
    labels = np.kron(np.arange(100).reshape(10, 10), np.ones((40, 40))).astype(np.uint16)
    if kind == "16 bit":
        Image.fromarray(labels).save(path)
    elif kind == "one channel":
        Image.fromarray(labels.astype(np.uint8)).save(path)
    elif kind == "grey as RGB":
        Image.fromarray(np.stack([labels.astype(np.uint8)] * 3, axis=-1)).save(path)
    else:
        palette = np.random.default_rng(0).integers(0, 255, (100, 3), dtype=np.uint8)
        Image.fromarray(palette[labels]).save(path)
    return path


@pytest.mark.parametrize("kind", ["16 bit", "one channel", "grey as RGB", "colours"])
def test_label_images_are_never_learnt_from(kind: str, images: Path, tmp_path: Path) -> None:
    labels = label_image(kind, tmp_path / "labels.png")

    with pytest.raises(PixelFormatError, match=r"labels\.png"):
        train(request([images, labels], tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_tissue_is_no_label_image(images: Path) -> None:
    assert not looks_like_labels(np.asarray(Image.open(images / "one.png")))


def test_a_manifest_names_slides_and_resolutions(images: Path, tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    manifest.write_text(f"slide,mpp,note\n{images / 'one.png'},0.25,a\n{images / 'two.png'},,b\n")

    sources, skipped = find_sources([manifest], slide_mpp=0.3)

    assert [(one.name, one.mpp) for one in sources] == [("one", 0.25), ("two", 0.3)]
    assert not skipped


def test_a_full_disk_ends_in_one_line_and_goes_on_later(
    trained: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path.open

    def full(path: Path, *arguments: str, **options: str) -> object:
        return whole(Path("/dev/full") if "round-1-1.state" in path.name else path, *arguments, **options)

    monkeypatch.setattr(Path, "open", full)
    with pytest.raises(DiskFullError, match=r"round-1-1\.state: .*No space left"):
        train(request([images], tmp_path))
    monkeypatch.undo()

    train(request([images], tmp_path))

    assert_same_model(tmp_path / "model.safetensors", trained / "model.safetensors")


def test_a_folder_that_cannot_be_written_is_told_in_one_line(images: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(OutputError, match="cannot be written"):
        train(request([images], tmp_path / "file" / "out"))


def test_help_teaches_by_examples() -> None:
    for command in ("train", "pretrain", "pseudomask"):
        assert f"wsipsm {command} archive/ -o model" in wsipsm(command, "--help").stdout
