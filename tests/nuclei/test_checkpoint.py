"""Checkpoint files: what is written is read, and what is not one is refused in one line."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import safetensors.torch
import torch
from torch import nn

from wsipsm.core.errors import CheckpointError
from wsipsm.nuclei.nets.blocks import load_tensors
from wsipsm.nuclei.nets.checkpoint import FORMAT, Checkpoint, load_checkpoint, save_checkpoint

TENSORS = {"a": torch.arange(2.0), "count": torch.tensor(3)}


def some_checkpoint(kind: str = "encoder") -> Checkpoint:
    return Checkpoint(
        kind,
        {"shape": {"width": 3}, "low": 0.1},
        {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "count": np.array(3)},
    )


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "encoder.safetensors", some_checkpoint())

    found = load_checkpoint(tmp_path / "encoder.safetensors", kinds=("encoder",))

    assert (found.kind, found.table) == ("encoder", {"shape": {"width": 3}, "low": 0.1})
    assert set(found.tensors) == {"a", "count"}
    np.testing.assert_array_equal(found.tensors["a"], np.float32([[0, 1, 2], [3, 4, 5]]), strict=True)
    np.testing.assert_array_equal(found.tensors["count"], np.array(3), strict=True)


def test_the_field_s_own_reader_finds_the_tensors(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "encoder.safetensors", some_checkpoint())

    found = safetensors.torch.load_file(tmp_path / "encoder.safetensors")

    assert torch.equal(found["a"], torch.arange(6.0).reshape(2, 3))


def test_a_file_that_pytorch_wrote_for_an_earlier_version_is_read(tmp_path: Path) -> None:
    table = json.dumps({"low": 0.1})
    content = {"format": FORMAT, "version": 1, "wsipsm": "0.1", "kind": "fit", "table": table, "tensors": TENSORS}
    torch.save(content, tmp_path / "fit.pt")

    found = load_checkpoint(tmp_path / "fit.pt")

    assert (found.kind, found.table) == ("fit", {"low": 0.1})
    np.testing.assert_array_equal(found.tensors["a"], np.float32([0, 1]), strict=True)
    np.testing.assert_array_equal(found.tensors["count"], np.array(3), strict=True)


def test_the_same_content_gives_the_same_bytes_under_any_name(tmp_path: Path) -> None:
    for name in ("one.safetensors", "two.safetensors"):
        save_checkpoint(tmp_path / name, some_checkpoint())

    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


def test_saving_leaves_nothing_else_behind(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "encoder.safetensors", some_checkpoint())
    save_checkpoint(tmp_path / "encoder.safetensors", some_checkpoint("fit"))

    assert [path.name for path in tmp_path.iterdir()] == ["encoder.safetensors"]
    assert load_checkpoint(tmp_path / "encoder.safetensors").kind == "fit"


def write_truncated(path: Path) -> None:
    save_checkpoint(path, some_checkpoint())
    path.write_bytes(path.read_bytes()[:-100])


def write_cut_in_the_header(path: Path) -> None:
    save_checkpoint(path, some_checkpoint())
    path.write_bytes(path.read_bytes()[:60])


def write(path: Path, **about: object) -> None:
    path.write_bytes(safetensors.numpy.save({}, {FORMAT: json.dumps(about)}))


def write_earlier(path: Path, **changes: object) -> None:
    content = {"format": FORMAT, "version": 1, "wsipsm": "0.1", "kind": "encoder", "table": "{}", "tensors": {}}
    torch.save(content | changes, path)


def write_earlier_truncated(path: Path) -> None:
    write_earlier(path)
    path.write_bytes(path.read_bytes()[:-100])


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file"),
    "a folder": (lambda path: path.mkdir(), "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "not a wsipsm checkpoint"),
    "text": (lambda path: path.write_text("hello"), "not a wsipsm checkpoint"),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps({"format": FORMAT})), "not a wsipsm checkpoint"),
    "truncated": (write_truncated, "truncated"),
    "truncated in the header": (write_cut_in_the_header, "truncated"),
    "truncated, of an earlier version": (write_earlier_truncated, "truncated"),
    "safetensors of another program": (
        lambda path: path.write_bytes(safetensors.numpy.save({"a": np.zeros(3)})),
        "not a wsipsm checkpoint",
    ),
    "of another program": (lambda path: torch.save({"state_dict": {}}, path), "not a wsipsm checkpoint"),
    "a bare tensor": (lambda path: torch.save(torch.zeros(3), path), "not a wsipsm checkpoint"),
    "with code in it": (lambda path: torch.save(nn.Linear(2, 2), path), "not a wsipsm checkpoint"),
    "of another kind": (
        lambda path: save_checkpoint(path, some_checkpoint("fit")),
        "of kind 'fit', expected 'encoder'",
    ),
    "damaged": (lambda path: write(path, version=2, kind="encoder", table=None), "damaged"),
    "of numbers that are not known": (
        lambda path: safetensors.torch.save_file({"a": torch.zeros(2, dtype=torch.bfloat16)}, path, {FORMAT: "{}"}),
        "damaged",
    ),
    "damaged, of an earlier version": (lambda path: write_earlier(path, table="[1"), "damaged"),
    "without tensors, of an earlier version": (lambda path: write_earlier(path, tensors=[1]), "damaged"),
    "newer": (
        lambda path: write(path, version=99, wsipsm="9.9", kind="encoder", table={}),
        "version 99 by wsipsm 9.9, expected at most 2: update wsipsm",
    ),
}


@pytest.mark.parametrize(("make", "reason"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_what_is_not_a_welcome_checkpoint_is_refused_in_one_line(
    tmp_path: Path, make: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / "encoder.safetensors"
    make(path)

    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path, kinds=("encoder",))

    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda t: t.pop("weight"), "Missing key"),
        (lambda t: t.update(more=torch.zeros(1)), "Unexpected key"),
        (lambda t: t.update(weight=torch.zeros(5, 5)), "size mismatch"),
        (lambda t: t.update(bias=torch.tensor([0.0, torch.nan])), "not all finite"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_in_one_line(change: Callable[[dict], object], reason: str) -> None:
    tensors = dict(nn.Linear(3, 2).state_dict())
    change(tensors)

    with pytest.raises(CheckpointError, match=reason) as error:
        load_tensors(nn.Linear(3, 2), tensors)

    assert "\n" not in str(error.value)
