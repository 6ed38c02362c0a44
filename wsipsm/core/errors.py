"""All exceptions of wsipsm, as one tree.

::

    WsipsmError
    ├── ConfigError               unknown key or bad value in a configuration
    ├── InputError                a path, folder or glob pattern without a slide
    ├── SlideError                unusable slide
    │   ├── UnreadableSlideError  file that cannot be opened, or pixels that cannot be read
    │   ├── ResolutionError       micrometres per pixel unknown, implausible or too coarse
    │   └── PixelFormatError      pixels that are not 8-bit RGB
    ├── RegionError               region of interest empty, malformed or outside the slide
    ├── FitError                  too little tissue to train or calibrate on
    ├── CheckpointError           checkpoint damaged, or of another kind or version
    ├── DeviceMemoryError         GPU memory too small for one block
    ├── ExtraError                optional package not installed
    ├── EvaluationError           predictions or ground truth that cannot be read or compared
    ├── ScheduleError             Dask scheduler unreachable, or its workers unusable
    │   └── WorkerLostError       workers died while they ran a task
    ├── StoppedError              run stopped by a signal or its caller
    ├── UnsupportedSystemError    operating system without POSIX file locks
    └── OutputError               results that cannot be written or read
        ├── StoredResultsError    stored results that cannot be read
        ├── DiskFullError         no space or quota left
        ├── LockedError           output folder locked by another run
        ├── UnseenError           output folder that this machine does not see
        └── StaleError            scratch of a slide gone or taken over by another run

A message is one line: what was found, what was expected and what to do. Where a class is not ``retryable``, a second
try gives the same error.
"""

from __future__ import annotations


class WsipsmError(Exception):
    """Base class; the command line prints its message as one line and exits with a non-zero code."""

    retryable = True


class ConfigError(WsipsmError, ValueError):
    """A configuration with an unknown key or a bad value."""

    retryable = False


class InputError(WsipsmError, FileNotFoundError):
    """A path, folder or glob pattern without a slide."""

    def __str__(self) -> str:  # FileNotFoundError would format errno and strerror
        return str(self.args[0]) if self.args else ""


class SlideError(WsipsmError):
    """A slide that cannot be used."""


class UnreadableSlideError(SlideError):
    """A slide file that cannot be opened, or whose pixels cannot be read."""


class ResolutionError(SlideError):
    """A slide of unknown or implausible micrometres per pixel, or coarser than the working resolution."""

    retryable = False


class PixelFormatError(SlideError):
    """A slide whose pixels are not 8-bit RGB."""

    retryable = False


class RegionError(WsipsmError):
    """A region of interest that is empty, malformed or outside the slide."""

    retryable = False


class FitError(WsipsmError):
    """Too little tissue to train or calibrate on."""

    retryable = False


class CheckpointError(WsipsmError):
    """A checkpoint that is damaged, or of another kind or version."""

    retryable = False


class DeviceMemoryError(WsipsmError):
    """GPU memory too small for one block."""


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
    """A Dask scheduler that cannot be reached, or whose workers cannot be used."""


class WorkerLostError(ScheduleError):
    """Workers died while they ran a task."""


class StoppedError(WsipsmError):
    """A run stopped by a signal or by its caller.

    Attributes
    ----------
    signal : int
        Number of the signal that asked; 0 where it was the caller.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.signal = signal

    def __reduce__(self) -> tuple[type[StoppedError], tuple[str, int]]:
        return StoppedError, (str(self), self.signal)


class UnsupportedSystemError(WsipsmError):
    """An operating system without POSIX file locks."""


class OutputError(WsipsmError):
    """Results that cannot be written or read."""


class StoredResultsError(OutputError):
    """Results of an earlier run that cannot be read, so that they must be computed again."""


class DiskFullError(OutputError):
    """No space or quota left on the file system of the results."""

    retryable = False


class LockedError(OutputError):
    """An output folder locked by another run."""


class UnseenError(OutputError):
    """An output folder that this machine does not see."""


class StaleError(OutputError):
    """Scratch of a slide that is gone, or that another run has taken over."""

    retryable = False


def how_to_go_on(*, fresh: bool) -> str:
    """Advice to resume a stopped run; with ``--fresh`` the same command would discard what is done."""
    return f"the same command{' without --fresh' if fresh else ''} goes on where it was"


def short_reason(error: BaseException) -> str:
    """First 120 characters of an error's message on one line; the name of its class if it has no message."""
    return " ".join(str(error).split())[:120] or type(error).__name__


def describe_error(error: BaseException) -> str:
    """Message of an error on one line; one that is not a `WsipsmError` is prefixed by the name of its class."""
    text = " ".join(str(error).split())
    return text if isinstance(error, WsipsmError) else f"{type(error).__name__}: {text}"
