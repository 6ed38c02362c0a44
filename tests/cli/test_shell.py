"""What a shell and other programs get: completion, colours, streams, JSON, versions."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import typer

import wsipsm as package
from tests.helpers.command import WSIPSM, wsipsm, wsipsm_process
from tests.helpers.slidegen import write_slide
from tests.helpers.terminal import COLOUR, on_terminal
from wsipsm.cli.main import app

THREADS = ("--set", "schedule.workers=1", "--set", "schedule.processes=false")
ENVIRONMENT = os.environ | {"PATH": f"{Path(WSIPSM).parent}{os.pathsep}{os.environ['PATH']}"}

BASH = """
eval "$(_WSIPSM_COMPLETE=source_bash wsipsm)"
complete -p wsipsm > /dev/null || exit 1
COMP_WORDS=({words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_wsipsm_completion wsipsm
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ZSH = """
compdef() {{ :; }}
_arguments() {{ print -r -- "$@"; }}
eval "$(_WSIPSM_COMPLETE=source_zsh wsipsm)"
words=({words}); CURRENT=${{#words[@]}}
_wsipsm_completion
"""
FISH = """
env _WSIPSM_COMPLETE=source_fish wsipsm | source
complete --do-complete '{words}'
"""


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that does something, with the words that call it."""
    if not isinstance(command, click.Group):
        yield path, command
        return
    for name, inner in command.commands.items():
        yield from leaves(inner, (*path, name))


COMMANDS = dict(leaves(typer.main.get_command(app)))


@pytest.fixture(scope="module")
def white(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slide(tmp_path_factory.mktemp("white") / "white.tiff", np.full((600, 800, 3), 243, np.uint8), mpp=0.25)


@pytest.fixture(scope="module")
def out(white: Path) -> Path:
    """Output folder of a run over a slide without tissue and a file that is no slide."""
    (white.parent / "text.svs").write_text("no slide")
    folder = white.parent / "out"
    assert wsipsm("run", white, white.parent / "text.svs", "-o", folder, *THREADS).returncode == 2
    return folder


def in_shell(shell: str, script: str, words: str) -> list[str]:
    command = [shell, "-c", script.format(words=words)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=ENVIRONMENT)
    assert done.stderr == ""
    return done.stdout.split()


def completed(instruction: str, **words: str) -> list[str]:
    done = wsipsm_process(env=ENVIRONMENT | {"_WSIPSM_COMPLETE": instruction} | words)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_bash_completes_commands_options_and_names() -> None:
    assert in_shell("bash", BASH, "wsipsm st") == ["status"]
    assert in_shell("bash", BASH, "wsipsm run --keep-d") == ["--keep-doubtful"]
    assert in_shell("bash", BASH, "wsipsm run --device c") == ["cpu", "cuda"]
    assert in_shell("bash", BASH, "wsipsm train x -o y --config p") == ["paper"]
    assert in_shell("bash", BASH, "wsipsm cluster slurm-") == ["slurm-gpu"]


def test_a_slide_is_left_to_the_shell_which_completes_files() -> None:
    assert in_shell("bash", BASH, "wsipsm run sli") == []


@pytest.mark.skipif(shutil.which("zsh") is None, reason="no zsh on this machine")
def test_zsh_completes() -> None:
    assert any('"status"' in word for word in in_shell("zsh", ZSH, "wsipsm st"))


@pytest.mark.skipif(shutil.which("fish") is None, reason="no fish on this machine")
def test_fish_completes() -> None:
    assert in_shell("fish", FISH, "wsipsm st")[0] == "status"


def test_what_the_scripts_of_zsh_and_fish_ask_for_is_answered() -> None:
    (zsh,) = completed("complete_zsh", _TYPER_COMPLETE_ARGS="wsipsm st")
    (fish,) = completed("complete_fish", _TYPER_COMPLETE_ARGS="wsipsm st", _TYPER_COMPLETE_FISH_ACTION="get-args")

    assert zsh.startswith("""_arguments '*: :(("status":"Show the status of a run""")
    assert fish.startswith("status\tShow the status of a run")
    for shell in ("zsh", "fish"):
        script = "\n".join(completed(f"source_{shell}"))
        assert f"_WSIPSM_COMPLETE=complete_{shell}" in script


def test_completing_imports_nothing_heavy() -> None:
    code = (
        "import sys; from wsipsm.cli.main import app\ntry: app()\nexcept SystemExit: pass\n"
        "print([m for m in ('torch', 'dask', 'numpy', 'rich.console', 'pydantic') if m in sys.modules])"
    )
    words = {"COMP_WORDS": "wsipsm run --", "COMP_CWORD": "2", "_WSIPSM_COMPLETE": "complete_bash"}
    command = [sys.executable, "-c", f"import sys; sys.argv = ['wsipsm']\n{code}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | words)

    assert done.stdout.splitlines()[-1] == "[]"
    assert "--slide-mpp" in done.stdout


BARS = """
from rich.console import Console
from wsipsm.cli.progress import progress
from wsipsm.core.events import Event
with progress(Console(stderr=True)) as show:
    show(Event("stage", text="network", step=1, steps=2))
"""


@pytest.mark.parametrize("command", [(WSIPSM, "--help"), (sys.executable, "-c", BARS)], ids=["help", "bars"])
def test_no_color_is_honoured(command: tuple[str, ...]) -> None:
    coloured, plain = on_terminal(*command), on_terminal(*command, NO_COLOR="1")

    assert COLOUR.search(coloured)
    assert not COLOUR.search(plain)
    assert len(plain) > 80


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_mistake_goes_to_standard_error(words: tuple[str, ...]) -> None:
    done = wsipsm(*words, "--no-such-option")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("wsipsm: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        *("run {0} -o {0}/out", "info {0}", "evaluate {0} {0}", "index {0}", "export {0} --to csv -o {0}.csv"),
        *("status {0}", "validate {0}", "train {0} -o {0}/out", "qupath {0}", "cluster {0}.yaml"),
        *("classify {0} --fit {0}.json", "config show {0}.yaml", "config check {0}.yaml", "config diff {0}.yaml"),
        "config diff {0}.json he",
    ],
)
def test_a_missing_file_goes_to_standard_error(words: str, tmp_path: Path) -> None:
    done = wsipsm(*words.format(tmp_path / "none").split())

    assert (done.returncode, done.stdout) == (1, "")
    assert "none" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("wsipsm: ")


def test_every_json_option_says_what_is_printed() -> None:
    shapes = {
        words: str(option.help)
        for words, command in COMMANDS.items()
        for option in command.params
        if "--json" in option.opts and isinstance(option, click.Option)
    }

    assert {name for name, *_ in shapes} >= {
        "run",
        "info",
        "status",
        "index",
        "evaluate",
        "doctor",
        "validate",
        "config",
    }
    for words, text in shapes.items():
        assert text.startswith("Print JSON and nothing else: "), words


def printed_json(*arguments: str | Path) -> Any:
    return json.loads(wsipsm(*arguments, "--json").stdout)


def test_a_run_prints_json(white: Path, out: Path) -> None:
    empty, failed = printed_json("run", white, white.parent / "text.svs", "-o", out, *THREADS)
    planned, refused = printed_json("run", white, white.parent / "text.svs", "-o", out.parent / "new", "--dry-run")

    assert (empty["slide"], empty["status"], empty["cells"], empty["mm2"]) == ("white", "empty", 0, 0.0)
    assert "no tissue" in empty["warnings"][0] or "glass" in empty["warnings"][0]
    assert (failed["slide"], failed["status"], failed["cells"]) == ("text", "failed", None)
    assert failed["error"]
    assert (planned["slide"], planned["tiles"], planned["error"]) == (str(white), 0, "")
    assert refused["error"]


def test_commands_on_results_print_json(white: Path, out: Path) -> None:
    assert printed_json("info", white)["mpp_l0"] == pytest.approx(0.25)
    assert printed_json("status", out)["slides"] == {"empty": 1, "failed": 1}
    assert all(report["good"] for report in printed_json("validate", out))
    assert printed_json("config", "diff", "he", out / "white") == [
        {"key": "schedule.workers", "first": None, "second": 1},
        {"key": "schedule.processes", "first": True, "second": False},
    ]
    assert printed_json("config", "show", "paper")["segmenter"]["voronoi_weight"] == 1.5
    assert [one["name"] for one in printed_json("config", "list")] == ["he", "ihc", "paper"]


def test_version_tells_what_a_report_needs() -> None:
    import torch

    code = (
        "import sys; sys.argv = ['wsipsm', '--version']; from wsipsm.cli.main import main\n"
        "try: main()\nfinally: assert not {'torch', 'dask', 'tiatoolbox'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    first, *others = done.stdout.splitlines()
    found = dict(line.split(" ", 1) for line in others)

    assert first == f"wsipsm {package.__version__}"
    assert list(found) == ["Python", "torch", "OpenSlide", "zarr", "dask", "tiatoolbox"]
    cuda = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    assert f"{torch.__version__.partition('+')[0]}" in found["torch"]
    assert found["torch"].endswith(f"({cuda})")
    assert found["OpenSlide"].split(".")[0].isdigit()
