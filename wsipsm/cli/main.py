"""The command line: the application, and errors as one line and an exit code."""

from __future__ import annotations

import atexit
import gc
import signal
import sys
from typing import Annotated

import click
import typer

from wsipsm.cli import archive, classify, config, evaluate, export, index, report, run, train, validate, view
from wsipsm.cli.common import EXIT_SIGNAL, EXIT_STOPPED, refuse
from wsipsm.cli.versions import version_lines
from wsipsm.core.errors import StoppedError, WsipsmError, how_to_go_on
from wsipsm.core.words import in_shell

app = typer.Typer(
    name="wsipsm",
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Recognise every cell of a whole-slide image without a single annotation.\n\n"
    "Start with [bold]wsipsm run slide.svs -o out[/bold], then drag out/slide/cells.geojson.gz onto the slide in "
    "QuPath.",
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print versions and exit; wsipsm's is the first.")] = False,
) -> None:
    if version:
        for line in version_lines():
            print(line)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


for commands in (run, view, report, evaluate, index, train, classify, export, validate, archive, config):
    commands.register(app)


def main() -> None:
    """Run the command line; a mistake of usage or an error of ours is one line and exit code 1."""
    try:
        with in_shell():
            code = app(standalone_mode=False)  # typer turns an interrupt into the exit code EXIT_STOPPED
    except click.UsageError as error:
        refuse(f"{error.format_message()} (wsipsm --help)")
    except click.Abort:
        refuse("stopped")
    except StoppedError as error:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # what comes now cannot stop more than is stopped
        refuse(str(error), EXIT_SIGNAL + error.signal)
    except WsipsmError as error:
        refuse(" ".join(str(error).split()))
    except (OSError, ValueError) as error:
        refuse(_reason(error))
    if code == EXIT_STOPPED:
        refuse(f"stopped; {how_to_go_on(fresh='--fresh' in sys.argv)}", EXIT_STOPPED)
    atexit.register(gc.freeze)  # the system takes all back; searching it for cycles first takes a third of a second
    raise SystemExit(code or 0)


def _reason(error: OSError | ValueError) -> str:
    """One line of an error of the system, or of a file with which Dask cannot begin; others are raised again."""
    if isinstance(error, OSError):
        return f"{error.filename or 'input'}: {error.strerror or str(error) or type(error).__name__}"
    if "dask config file" not in str(error):
        raise error
    return f"{str(error).splitlines()[0].rstrip(':, ')}: mend or remove it, Dask reads it for every program"


if __name__ == "__main__":
    main()
