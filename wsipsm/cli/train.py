"""The commands ``wsipsm train``, ``pretrain`` and ``pseudomask``. Heavy imports stay inside them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from wsipsm.cli.common import CONFIG, DEVICE, INPUTS, MPP, OUT, SETTINGS, SLIDE_MPP, Device, as_settings, is_of_paper


class Stage(StrEnum):
    """Stage to stop after; ``segmenter`` is the last one alone."""

    all = "all"
    pretrain = "pretrain"
    pseudomask = "pseudomask"
    segmenter = "segmenter"


SEED = Annotated[int | None, typer.Option(min=0, help="Random seed; by default 0 (paper: 1).")]
FRESH = Annotated[
    bool, typer.Option("--fresh", help="Delete what an earlier training wrote there, nothing else, and start over.")
]

PRETRAIN = """Run the first stage of wsipsm train, the activation network; wsipsm train resumes from it.

    For example:

      wsipsm pretrain archive/ -o model

      wsipsm run slide.svs -o out --recognizer psm --encoder model/encoder.safetensors
    """

PSEUDOMASK = """Run wsipsm train up to the pseudo labels; wsipsm train resumes from them.

    Look at DIR/training.html: activation maps, pseudo masks and pseudo labels of some fields. For example:

      wsipsm pseudomask archive/ -o model
    """


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command()(train)
    app.command("pretrain", help=PRETRAIN)(_command_up_to(Stage.pretrain))
    app.command("pseudomask", help=PSEUDOMASK)(_command_up_to(Stage.pseudomask))


def train(
    inputs: INPUTS,
    out: OUT,
    config: CONFIG = "he",
    settings: SETTINGS = None,
    stage: Annotated[Stage, typer.Option(help="Stage to stop after; segmenter: the last stage alone.")] = Stage.all,
    init: Annotated[
        Path | None,
        typer.Option(help="Segmenter to start from; it labels the first round instead of the pseudo masks."),
    ] = None,
    seed: SEED = None,
    mpp: MPP = None,
    slide_mpp: SLIDE_MPP = None,
    device: DEVICE = Device.auto,
    fresh: FRESH = False,
) -> None:
    """Learn a segmenter from slides alone, without a single annotation; look at DIR/training.html afterwards.

    Of a manifest the columns slide and mpp are used. --config paper is the method of the paper as published; an edited
    copy of wsipsm config show paper works too.

    For example:

      wsipsm train archive/ -o model

      wsipsm train fields/ -o model --slide-mpp 0.25

      wsipsm train manifest.csv -o model --seed 1 --set training.rounds=2

      wsipsm train archive/ -o mine --init model/model.safetensors

      wsipsm train images/ -o paper --config paper --slide-mpp 0.25

    Then use it: wsipsm run slide.svs -o out --checkpoint model/model.safetensors
    """
    if is_of_paper(config, settings or ()):
        if stage is not Stage.all or init is not None or mpp is not None:
            raise typer.BadParameter(
                f"--config {config} is trained as a whole: wsipsm train without --stage, --init, --mpp"
            )
        overrides = [*as_settings({"training.seed": seed}), *(settings or [])]
        _train_paper(inputs, out, config, overrides, slide_mpp=slide_mpp, device=device, fresh=fresh)
        return
    seeds = {"encoder.seed": seed, "training.seed": seed, "grid.mpp": mpp}
    asked = {"config": config, "settings": [*as_settings(seeds), *(settings or [])], "stage": stage.value, "init": init}
    _train(inputs, out, asked | {"slide_mpp": slide_mpp, "device": device.value, "fresh": fresh})


def _command_up_to(stage: Stage) -> Callable[..., None]:
    """Command that trains up to a stage; its options are those of ``train`` but for ``--stage`` and ``--init``."""

    def command(
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
        train(
            inputs,
            out,
            config,
            settings,
            stage=stage,
            seed=seed,
            mpp=mpp,
            slide_mpp=slide_mpp,
            device=device,
            fresh=fresh,
        )

    return command


def _train(inputs: list[str], out: Path, asked: dict[str, Any]) -> None:
    from rich.console import Console

    from wsipsm import api
    from wsipsm.cli.progress import progress

    with progress(Console(stderr=True)) as on_event:
        made = api.train(inputs, out, **asked, on_event=on_event)
    print(_next_step(made, asked["stage"]))


def _next_step(made: Path, stage: str) -> str:
    report = made.parent / "training.html"
    if stage == Stage.pretrain:
        return f"{made}: use it with wsipsm run slide.svs -o out --recognizer psm --encoder {made}"
    if stage == Stage.pseudomask:
        return f"{made}: look at {report}, then go on with wsipsm train and the same inputs and settings"
    return f"{made}: use it with wsipsm run slide.svs -o out --checkpoint {made} (how it learnt: {report})"


def _train_paper(
    inputs: list[str],
    out: Path,
    config: str,
    overrides: Sequence[str],
    *,
    slide_mpp: float | None,
    device: Device,
    fresh: bool,
) -> None:
    from rich.console import Console

    from wsipsm.cli.progress import progress
    from wsipsm.nuclei.nets.device import pick_device
    from wsipsm.training.paper.folder import PaperFolder
    from wsipsm.training.paper.inputs import paper_images
    from wsipsm.training.paper.pipeline import train_paper
    from wsipsm.training.paper.settings import load_paper_settings

    loaded = load_paper_settings(config, tuple(overrides))
    images, skipped = paper_images(
        inputs,
        mpp=loaded.data.mpp,
        side_px=loaded.data.crop_px,
        seed=loaded.training.seed,
        slide_mpp=slide_mpp,
    )
    for one in skipped:
        print(f"left out: {one.path}: {one.reason}", file=sys.stderr)
    with progress(Console(stderr=True)) as on_event:
        train_paper(images, loaded, out=out, device=pick_device(device), on_event=on_event, fresh=fresh)
    print(f"{PaperFolder.below(out).model}: the paper's segmenter, for comparison; wsipsm run does not take it")
