"""A training removes and overwrites what is its own, and has its folder to itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from multiprocessing.synchronize import Event as Signal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import forked
from wsipsm.cli import train as cli_train
from wsipsm.config import load_config
from wsipsm.core.errors import LockedError, OutputError
from wsipsm.core.events import Event
from wsipsm.nuclei.nets.device import limited_threads
from wsipsm.slide.sample import he_field
from wsipsm.training.pipeline import Stage, TrainRequest, train

TINY = (
    *("encoder.patches=8", "encoder.width=4", "encoder.blocks=1", "encoder.steps=1", "encoder.batch=2"),
    *("training.threads=1", "training.widths=[4,8]", "training.patch_px=64", "training.batch=1"),
    *("training.steps=1", "training.members=1", "training.rounds=0", "training.distil_steps=0"),
)
TINY_PAPER = [
    "data.crop_px=96",
    *(f"{network}.{key}" for network in ("encoder", "points", "segmenter") for key in ("name=test_resnet", "epochs=1")),
]
FOREIGN = ("fields/notes.txt", "model.safetensors", "metrics.csv", "round-1.csv", "masks/a.png")


def hold(image: Path, out: Path, under_way: Signal, enough: Signal) -> None:
    """Start to learn in a folder, and stop once it is enough."""

    def wait(event: Event) -> None:
        if event.kind == "stage":
            under_way.set()
            enough.wait()
            sys.exit()

    train(TrainRequest([str(image)], out, load_config("he"), stage="pretrain", slide_mpp=0.25), wait)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Two threads that wait for each other on a busy machine take thirty times as long."""
    with limited_threads(1):
        yield


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Piece of the packaged H&E field, 400 x 400 px at 0.25 um/px."""
    path = tmp_path_factory.mktemp("image") / "one.png"
    Image.open(he_field()).convert("RGB").crop((0, 0, 400, 400)).save(path)
    return path


@pytest.fixture(scope="module")
def images(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of which the paper's method takes the middle."""
    path = tmp_path_factory.mktemp("images") / "small.png"
    Image.open(image).crop((0, 0, 128, 128)).save(path)
    return path


def learn(image: Path, out: Path, *, stage: Stage = "pretrain", fresh: bool = False) -> None:
    train(TrainRequest([str(image)], out, load_config("he", TINY), stage, slide_mpp=0.25, fresh=fresh))


def learn_as_in_the_paper(image: Path, out: Path, *, fresh: bool = False) -> None:
    cli_train.train([str(image)], out, "paper", TINY_PAPER, slide_mpp=0.25, fresh=fresh)


def write(folder: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"foreign {name}")


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("stage", ["all", "pretrain", "pseudomask"])
def test_a_folder_of_somebody_else_is_refused_and_left_as_it_is(
    image: Path, tmp_path: Path, stage: Stage, fresh: bool
) -> None:
    write(tmp_path, FOREIGN)
    before = content(tmp_path)

    with pytest.raises(OutputError, match=r"holds metrics\.csv, model\.safetensors, .*choose another folder"):
        learn(image, tmp_path, stage=stage, fresh=fresh)

    assert content(tmp_path) == before


def test_fresh_removes_what_the_record_lists_and_nothing_else(image: Path, tmp_path: Path) -> None:
    foreign = ("fields/notes.txt", "round-1.csv", "masks/a.png", "pseudolabels/two.npz", ".notes.0123abcd")
    learn(image, tmp_path)
    write(tmp_path, foreign)
    drafts = tmp_path / "fields" / ".one.npz.0123abcd", tmp_path / ".encoder.safetensors.0123abcd"
    for draft in drafts:
        draft.write_bytes(b"half")
    old = (tmp_path / "metrics.csv").read_bytes() * 2
    (tmp_path / "metrics.csv").write_bytes(old)

    learn(image, tmp_path, fresh=True)

    assert [(tmp_path / name).read_text() for name in foreign] == [f"foreign {name}" for name in foreign]
    assert not any(draft.exists() for draft in drafts)
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 2


@pytest.mark.parametrize("fresh", [True, False])
def test_a_model_that_the_training_has_not_come_to_is_not_its_own(image: Path, tmp_path: Path, fresh: bool) -> None:
    learn(image, tmp_path)
    write(tmp_path, ("model.safetensors",))
    before = content(tmp_path)

    with pytest.raises(OutputError, match=r"holds model\.safetensors, which"):
        learn(image, tmp_path, fresh=fresh)

    assert content(tmp_path) == before


def escaping(record: bytes) -> bytes:
    return record.replace(b'"name": "one"', b'"name": "../../one"')


@pytest.mark.parametrize("change", [lambda _: b'{"epochs": 3}', escaping, lambda record: record[:-40]])
def test_a_record_that_cannot_be_believed_removes_nothing(image: Path, tmp_path: Path, change: object) -> None:
    out, outside = tmp_path / "out", tmp_path / "one.npz"
    outside.write_text("foreign")
    learn(image, out)
    record = out / "train.json"
    record.write_bytes(change(record.read_bytes()))  # type: ignore[operator]
    before = content(tmp_path)

    with pytest.raises(OutputError, match="cannot be told which files"):
        learn(image, out, fresh=True)

    assert content(tmp_path) == before


def test_fresh_understands_the_record_of_an_earlier_version(image: Path, tmp_path: Path) -> None:
    learn(image, tmp_path)
    record = json.loads((tmp_path / "train.json").read_bytes())
    record["config"]["segmenter"] |= record["config"].pop("training")
    (tmp_path / "train.json").write_text(json.dumps(record))
    old = (tmp_path / "metrics.csv").read_bytes() * 2
    (tmp_path / "metrics.csv").write_bytes(old)

    learn(image, tmp_path, fresh=True)

    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 2


def test_a_slide_that_was_renamed_leaves_nothing_behind(image: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "two.png"
    renamed.write_bytes(image.read_bytes())
    learn(image, tmp_path / "out")
    learn(renamed, tmp_path / "out")

    learn(renamed, tmp_path / "out", fresh=True)

    assert [path.name for path in (tmp_path / "out" / "fields").iterdir()] == ["two.npz"]


def test_a_fresh_training_removes_what_an_earlier_version_called_its_networks(image: Path, tmp_path: Path) -> None:
    learn(image, tmp_path)
    (tmp_path / "encoder.safetensors").rename(tmp_path / "encoder.pt")
    write(tmp_path, ("other.pt",))

    learn(image, tmp_path, fresh=True)

    assert {path.name for path in tmp_path.iterdir() if path.suffix != ".csv"} >= {"encoder.safetensors", "other.pt"}
    assert not (tmp_path / "encoder.pt").exists()


def test_the_paper_has_a_folder_of_its_own(images: Path, tmp_path: Path) -> None:
    foreign = (
        *FOREIGN,
        "voronoi/a.png",
        "states/a.pt",
        "encoder.safetensors",
        "segmenter.safetensors",
        "training.json",
        "paper/a.pdf",
    )
    write(tmp_path, foreign)
    before = content(tmp_path)

    learn_as_in_the_paper(images, tmp_path, fresh=True)
    first = np.asarray(Image.open(tmp_path / "paper" / "masks" / "00000.png"))
    write(tmp_path, ("paper/masks/00001.png",))
    learn_as_in_the_paper(images, tmp_path, fresh=True)

    left = content(tmp_path)
    assert {path: left[path] for path in before} == before
    assert (tmp_path / "paper" / "masks" / "00001.png").read_text() == "foreign paper/masks/00001.png"
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "paper" / "masks" / "00000.png")), first)
    assert [path.name for path in tmp_path.iterdir() if path.name not in {name.split("/")[0] for name in foreign}] == []


@pytest.mark.parametrize(
    ("name", "told"),
    [("paper/encoder.safetensors", r"holds encoder\.safetensors"), ("paper/training.json", "cannot be told")],
)
def test_a_paper_folder_of_somebody_else_is_refused_and_left_as_it_is(
    images: Path, tmp_path: Path, name: str, told: str
) -> None:
    (tmp_path / "paper").mkdir()
    (tmp_path / name).write_text(json.dumps({"title": "mine"}))
    before = content(tmp_path)

    with pytest.raises(OutputError, match=told):
        learn_as_in_the_paper(images, tmp_path, fresh=True)

    assert content(tmp_path) == before


def test_a_folder_is_learnt_in_by_one_process_at_a_time(image: Path, images: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    under_way, enough = forked.CONTEXT.Event(), forked.CONTEXT.Event()
    process = forked.start(hold, image, out, under_way, enough)
    assert under_way.wait(120)
    before = content(out)
    for stage in ("all", "pretrain", "pseudomask"):
        with pytest.raises(LockedError, match="works on this folder"):
            learn(image, out, stage=stage, fresh=True)  # type: ignore[arg-type]
    with pytest.raises(LockedError, match="works on this folder"):
        learn_as_in_the_paper(images, out, fresh=True)
    assert content(out) == before
    enough.set()
    process.join()

    learn(image, out, fresh=True)
    assert (out / "encoder.safetensors").is_file()
