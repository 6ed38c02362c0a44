"""Checkpoint files: what is written is read, and what is not one is refused in one line."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from wsipsm.core.errors import CheckpointError
from wsipsm.nuclei.nets.checkpoint import FORMAT, Checkpoint, load_checkpoint, load_tensors, save_checkpoint


def some_checkpoint(kind: str = "encoder") -> Checkpoint:
    return Checkpoint(kind, {"shape": {"width": 3}, "low": 0.1}, {"a": torch.arange(6.0).reshape(2, 3)})


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "encoder.pt", some_checkpoint())

    found = load_checkpoint(tmp_path / "encoder.pt", kinds=("encoder",))

    assert (found.kind, found.table) == ("encoder", {"shape": {"width": 3}, "low": 0.1})
    assert list(found.tensors) == ["a"]
    torch.testing.assert_close(found.tensors["a"], torch.tensor([[0.0, 1, 2], [3, 4, 5]]), rtol=0, atol=0)


def test_the_same_content_gives_the_same_bytes_under_any_name(tmp_path: Path) -> None:
    for name in ("one.pt", "two.pt"):
        save_checkpoint(tmp_path / name, some_checkpoint())

    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()


def test_saving_leaves_nothing_else_behind(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "encoder.pt", some_checkpoint())
    save_checkpoint(tmp_path / "encoder.pt", some_checkpoint("fit"))

    assert [path.name for path in tmp_path.iterdir()] == ["encoder.pt"]
    assert load_checkpoint(tmp_path / "encoder.pt").kind == "fit"


def write_truncated(path: Path) -> None:
    save_checkpoint(path, some_checkpoint())
    path.write_bytes(path.read_bytes()[:-100])


def write_newer(path: Path) -> None:
    torch.save(
        {"format": FORMAT, "version": 99, "wsipsm": "9.9", "kind": "encoder", "table": "{}", "tensors": {}}, path
    )


def write_damaged(path: Path) -> None:
    torch.save({"format": FORMAT, "version": 1, "wsipsm": "0.1", "kind": "encoder", "table": "[1"}, path)


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file"),
    "a folder": (lambda path: path.mkdir(), "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "not a wsipsm checkpoint"),
    "text": (lambda path: path.write_text("hello"), "not a wsipsm checkpoint"),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps({"format": FORMAT})), "not a wsipsm checkpoint"),
    "truncated": (write_truncated, "truncated"),
    "of another program": (lambda path: torch.save({"state_dict": {}}, path), "not a wsipsm checkpoint"),
    "a bare tensor": (lambda path: torch.save(torch.zeros(3), path), "not a wsipsm checkpoint"),
    "with code in it": (lambda path: torch.save(nn.Linear(2, 2), path), "not a wsipsm checkpoint"),
    "of another kind": (
        lambda path: save_checkpoint(path, some_checkpoint("fit")),
        "of kind 'fit', expected 'encoder'",
    ),
    "damaged": (write_damaged, "damaged"),
    "newer": (write_newer, "version 99 by wsipsm 9.9, expected at most 1: update wsipsm"),
}


@pytest.mark.parametrize(("write", "reason"), BAD_FILES.values(), ids=BAD_FILES.keys())
def test_what_is_not_a_welcome_checkpoint_is_refused_in_one_line(
    tmp_path: Path, write: Callable[[Path], object], reason: str
) -> None:
    path = tmp_path / "encoder.pt"
    write(path)

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
