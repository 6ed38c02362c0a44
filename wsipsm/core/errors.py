"""Everything wsipsm can refuse, as one tree.

::

    WsipsmError
    ├── ConfigError               an unknown key, a bad value
    ├── InputError                a path, a folder or a glob that gives no slide
    ├── SlideError                a slide that cannot be used
    │   ├── UnreadableSlideError  does not open, or opens and does not read
    │   ├── ResolutionError       no believable micrometres per pixel, or too coarse
    │   └── PixelFormatError      not 8-bit RGB
    ├── RegionError               an empty region of interest, or one outside the slide
    ├── FitError                  too little to learn from
    ├── CheckpointError           a checkpoint of another kind, truncated, or of another version
    ├── DeviceMemoryError         a GPU that cannot hold even one block
    ├── ExtraError                an optional package that is not installed
    ├── EvaluationError           predictions and ground truth that cannot be read or compared
    ├── ScheduleError             the Dask scheduler cannot be reached, or its workers do not fit
    │   └── WorkerLostError       workers died over a task
    ├── StoppedError              a signal asked the run to stop
    ├── UnsupportedSystemError    an operating system without what a run relies on
    └── OutputError               an output folder that cannot be written
        ├── DiskFullError         no space left
        ├── LockedError           another run works on the folder
        └── StaleError            another run has taken over the scratch of a slide

A message says what was got, what was expected and what to do, on one line. An error whose class says ``final`` comes
back however often one tries.
"""

from __future__ import annotations


class WsipsmError(Exception):
    """Root of the tree; the command line prints it as one line and exits non-zero."""

    final = False


class ConfigError(WsipsmError, ValueError):
    """A configuration that cannot be understood."""

    final = True


class InputError(WsipsmError, FileNotFoundError):
    """An input that names no slide."""

    def __str__(self) -> str:  # FileNotFoundError would format errno and strerror
        return str(self.args[0]) if self.args else ""


class SlideError(WsipsmError):
    """A slide that cannot be used."""


class UnreadableSlideError(SlideError):
    """A file that does not open as a slide, or whose pixels cannot be read."""


class ResolutionError(SlideError):
    """A slide without believable micrometres per pixel, or coarser than the working resolution."""

    final = True


class PixelFormatError(SlideError):
    """A slide whose pixels are not 8-bit RGB."""

    final = True


class RegionError(WsipsmError):
    """A region of interest that is empty, malformed or outside the slide."""

    final = True


class FitError(WsipsmError):
    """Too little tissue to learn from."""

    final = True


class CheckpointError(WsipsmError):
    """A checkpoint that is not one, or does not fit."""

    final = True


class DeviceMemoryError(WsipsmError):
    """A GPU whose memory does not hold one block."""


class ExtraError(WsipsmError, ImportError):
    """An optional package that is not installed.

    Parameters
    ----------
    extra : str
        Extra of wsipsm that installs it.
    package : str
        Its name on PyPI.
    hint : str
        What works without it.
    """

    def __init__(self, extra: str, package: str, hint: str = "") -> None:
        super().__init__(f"{package} is not installed: pip install 'wsipsm[{extra}]'" + (hint and f"; {hint}"))


class EvaluationError(WsipsmError):
    """Predictions and ground truth that cannot be read, paired or compared."""


class ScheduleError(WsipsmError):
    """A Dask scheduler that cannot be reached or used."""


class WorkerLostError(ScheduleError):
    """Workers died over a task."""


class StoppedError(WsipsmError):
    """A run that a signal asked to stop.

    Attributes
    ----------
    signal : int
        Number of the signal.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal

    def __reduce__(self) -> tuple[type[StoppedError], tuple[str, int]]:
        return StoppedError, (str(self), self.signal)


class UnsupportedSystemError(WsipsmError):
    """An operating system without what a run relies on."""


class OutputError(WsipsmError):
    """An output folder or file that cannot be written."""


class DiskFullError(OutputError):
    """No space left, or no quota, where something is to be written."""

    final = True


class LockedError(OutputError):
    """An output folder that another run works on."""


class StaleError(OutputError):
    """Scratch that another run has taken over, or that is gone."""

    final = True


def how_to_go_on(*, fresh: bool) -> str:
    """Say how to take up again what was stopped; ``--fresh`` would drop what is done by now."""
    return f"the same command{' without --fresh' if fresh else ''} goes on where it was"


def describe_error(error: BaseException) -> str:
    """One line that says what went wrong; an error that is not ours is named by its class."""
    text = " ".join(str(error).split())
    return text if isinstance(error, WsipsmError) else f"{type(error).__name__}: {text}"
