"""The commands ``wsipsm train``, ``pretrain`` and ``pseudomask``. Heavy imports stay inside them."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

EXIT_STOPPED = 130
"""Stopped from the keyboard."""

PAPER = "paper"


class Stage(StrEnum):
    """Up to where to go; ``segmenter`` is the last stage alone."""

    all = "all"
    pretrain = "pretrain"
    pseudomask = "pseudomask"
    segmenter = "segmenter"


class Device(StrEnum):
    """Where to compute."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


INPUTS = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT...",
        help="Slides, plain images, folders (searched recursively), quoted globs, or a manifest: a CSV file with a "
        "column slide and, if wanted, mpp.",
    ),
]
OUT = Annotated[Path, typer.Option("-o", "--out", help="Output folder; the same command goes on in it after a stop.")]
CONFIG = Annotated[str, typer.Option(help="he, a YAML file, or paper: the method of the paper as published.")]
SETTINGS = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="Change one key, e.g. training.rounds=2; repeatable."),
]
SEED = Annotated[int | None, typer.Option(min=0, help="Seed of everything random; by default 0 (paper: 1).")]
MPP = Annotated[float | None, typer.Option(help="Working resolution, micrometres per pixel; by default 0.5.")]
SLIDE_MPP = Annotated[
    float | None, typer.Option(help="Micrometres per pixel of the inputs, where they do not say (0.25 = 40x).")
]
DEVICE = Annotated[Device, typer.Option(help="Where to compute.")]
FRESH = Annotated[
    bool, typer.Option("--fresh", help="Drop what an earlier training left there, and nothing else, and start anew.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    for command in (train, pretrain, pseudomask):
        app.command()(command)


def train(
    inputs: INPUTS,
    out: OUT,
    config: CONFIG = "he",
    settings: SETTINGS = None,
    stage: Annotated[Stage, typer.Option(help="Up to where to go; segmenter: the last stage alone.")] = Stage.all,
    init: Annotated[
        Path | None, typer.Option(help="model.pt to start from; it labels the first round instead of the pseudo masks.")
    ] = None,
    seed: SEED = None,
    mpp: MPP = None,
    slide_mpp: SLIDE_MPP = None,
    device: DEVICE = Device.auto,
    fresh: FRESH = False,
) -> None:
    """Learn a segmenter from slides alone, without a single annotation; look at DIR/training.html afterwards.

    For example:

      wsipsm train archive/ -o model

      wsipsm train fields/ -o model --slide-mpp 0.25

      wsipsm train manifest.csv -o model --seed 1 --set training.rounds=2

      wsipsm train archive/ -o mine --init model/model.pt

      wsipsm train images/ -o paper --config paper --slide-mpp 0.25

    Then use it: wsipsm run slide.svs -o out --checkpoint model/model.pt
    """
    options = {"seed": seed, "mpp": mpp, "slide_mpp": slide_mpp, "device": device.value, "fresh": fresh}
    if config == PAPER:
        if stage is not Stage.all or init is not None or mpp is not None:
            raise typer.BadParameter("--config paper knows no --stage, --init and --mpp")
        _stoppable(_train_paper, inputs, out, settings or [], options)
    else:
        _stoppable(_train, inputs, out, config, settings or [], options | {"stage": stage.value, "init": init})


def pretrain(
    inputs: INPUTS,
    out: OUT,
    config: CONFIG = "he",
    settings: SETTINGS = None,
    seed: SEED = None,
    mpp: MPP = None,
    slide_mpp: SLIDE_MPP = None,
    device: DEVICE = Device.auto,
    fresh: FRESH = False,
) -> None:
    """Learn the activation network alone: the first stage of wsipsm train, which goes on from it.

    For example:

      wsipsm pretrain archive/ -o model

      wsipsm run slide.svs -o out --recognizer psm --encoder model/encoder.pt
    """
    options = {"seed": seed, "mpp": mpp, "slide_mpp": slide_mpp, "device": device.value, "fresh": fresh}
    _stoppable(_train, inputs, out, config, settings or [], options | {"stage": "pretrain", "init": None})


def pseudomask(
    inputs: INPUTS,
    out: OUT,
    config: CONFIG = "he",
    settings: SETTINGS = None,
    seed: SEED = None,
    mpp: MPP = None,
    slide_mpp: SLIDE_MPP = None,
    device: DEVICE = Device.auto,
    fresh: FRESH = False,
) -> None:
    """Make the pseudo labels alone: wsipsm train up to them; it goes on from there.

    Look at DIR/training.html: activation maps, pseudo masks and pseudo labels of some fields. For example:

      wsipsm pseudomask archive/ -o model
    """
    options = {"seed": seed, "mpp": mpp, "slide_mpp": slide_mpp, "device": device.value, "fresh": fresh}
    _stoppable(_train, inputs, out, config, settings or [], options | {"stage": "pseudomask", "init": None})


def _stoppable(command: Any, *arguments: Any) -> None:
    try:
        command(*arguments)
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_STOPPED) from None


def _train(inputs: list[str], out: Path, config: str, settings: list[str], options: dict[str, Any]) -> None:
    from rich.console import Console

    from wsipsm.config import load_config

    seed = options.pop("seed")
    named = {"encoder.seed": seed, "training.seed": seed, "grid.mpp": options.pop("mpp")}
    overrides = [f"{key}={value}" for key, value in named.items() if value is not None]
    loaded = load_config(config, (*overrides, *settings))  # before torch is imported: a mistake shows at once

    from wsipsm.cli.train_progress import train_watcher
    from wsipsm.training.pipeline import TrainRequest
    from wsipsm.training.pipeline import train as run

    request = TrainRequest(inputs, out, loaded, **options)
    with train_watcher(Console(stderr=True)) as watcher:
        left = run(request, watcher)
    print(_next_step(left, options["stage"]))


def _next_step(left: Path, stage: str) -> str:
    report = left.parent / "training.html"
    if stage == "pretrain":
        return f"{left}: use it with wsipsm run slide.svs -o out --recognizer psm --encoder {left}"
    if stage == "pseudomask":
        return f"{left}: look at {report}, then go on with wsipsm train and the same inputs and settings"
    return f"{left}: use it with wsipsm run slide.svs -o out --checkpoint {left} (how it learnt: {report})"


def _train_paper(inputs: list[str], out: Path, settings: list[str], options: dict[str, Any]) -> None:
    from rich.console import Console

    from wsipsm.cli.train_progress import train_watcher
    from wsipsm.nuclei.nets.device import pick_device
    from wsipsm.training.paper.folder import PaperFolder
    from wsipsm.training.paper.inputs import paper_images
    from wsipsm.training.paper.pipeline import train_paper
    from wsipsm.training.paper.settings import load_paper_settings

    seed = [] if options["seed"] is None else [f"training.seed={options['seed']}"]
    loaded = load_paper_settings(PAPER, (*seed, *settings))
    images, skipped = paper_images(
        inputs,
        mpp=loaded.data.mpp,
        side_px=loaded.data.crop_px,
        seed=loaded.training.seed,
        slide_mpp=options["slide_mpp"],
    )
    for one in skipped:
        print(f"left out: {one.path}: {one.reason}", file=sys.stderr)
    with train_watcher(Console(stderr=True)) as watcher:
        told = _paper_progress(watcher)
        device = pick_device(options["device"])
        train_paper(images, loaded, out=out, device=device, progress=told, fresh=options["fresh"])
    print(f"{PaperFolder.below(out).model}: the paper's segmenter, for comparison; wsipsm run does not take it")


def _paper_progress(watcher: Any) -> Any:
    under_way: list[str] = []

    def told(record: Any) -> None:
        if under_way[-1:] != [record.stage]:
            under_way.append(record.stage)
            watcher.began(record.stage, record.steps)
        watcher.moved(record.step, record.loss)

    return told
