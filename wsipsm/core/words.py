"""Advice in messages, which names options as the command line does, in the words of the Python interface."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

from wsipsm.core.errors import WsipsmError

P = ParamSpec("P")
T = TypeVar("T")

_NAMES = {
    **{name: name for name in ("checkpoint", "cluster", "images", "roi", "scheduler")},
    "picture": "pictures",
    "slide-mpp": "slide_mpp",
    "truth-mpp": "truth_mpp",
    **{name: name for name in ("clusters", "downsample", "config", "device", "stage")},
}
"""Options that are arguments, with their value where the message has one."""
_FLAGS = {"allow-missing": "allow_missing=True", "fresh": "fresh=True"}
_KEYS = {"mpp": "grid.mpp", "recognizer": "recognizer.method", "min-confidence": "cells.min_confidence"}
"""Options that are keys of the configuration."""
_SWITCHES = {"keep-doubtful": "cells.keep_doubtful=true"}

_COMMAND = r"wsipsm [a-z]+(?: --?[a-z-]+(?: (?!or |and )[\w./]+)?)*"
_OPTION = re.compile(
    rf"(?P<command>{_COMMAND})|--set (?P<setting>[\w.]+=[^\s,;)]+)|--(?P<name>[a-z]+(?:-[a-z]+)*)"
    r"(?: (?P<value>\d[\d.]*\d|\d|he|ihc|paper|cpu|cuda|auto|psm|segmenter|pseudomask|pretrain)\b)?"
)

_IN_SHELL: ContextVar[bool] = ContextVar("in_shell", default=False)


@contextlib.contextmanager
def in_shell() -> Iterator[None]:
    """Messages inside name options as a shell takes them."""
    token = _IN_SHELL.set(True)
    try:
        yield
    finally:
        _IN_SHELL.reset(token)


def as_called(text: str) -> str:
    """Message for whoever called: as it is in `in_shell`, else with arguments of Python in the place of options.

    Parameters
    ----------
    text : str
        With options such as ``--slide-mpp``; whole commands stay as they are.

    Examples
    --------
    >>> as_called("give it with --slide-mpp (0.25 for 40x), or use --device cpu; see wsipsm config check")
    'give it with slide_mpp (0.25 for 40x), or use device="cpu"; see wsipsm config check'
    >>> as_called("try --set tissue.min_density=0.01, or --keep-doubtful")
    'try settings=["tissue.min_density=0.01"], or settings=["cells.keep_doubtful=true"]'
    """
    return text if _IN_SHELL.get() else _OPTION.sub(_argument, text)


def python_words(function: Callable[P, T]) -> Callable[P, T]:
    """Function of the Python interface, whose errors name its arguments.

    Parameters
    ----------
    function : callable
        Raises a `WsipsmError` that may name options.

    Returns
    -------
    callable
        Raises the same error with the message of `as_called`.
    """

    @functools.wraps(function)
    def called(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except WsipsmError as error:
            error.args = tuple(as_called(one) if isinstance(one, str) else one for one in error.args)
            raise

    return called


def _argument(found: re.Match[str]) -> str:
    name, value = found["name"], found["value"]
    if found["setting"]:
        return _setting(found["setting"])
    if name in _NAMES:
        return _NAMES[name] + ("" if value is None else f"={value}" if value[0].isdigit() else f'="{value}"')
    if name in _KEYS:
        return _setting(f"{_KEYS[name]}={value}") if value else f"{_KEYS[name]} in settings"
    if name in _FLAGS:
        return _FLAGS[name] + (f" {value}" if value else "")
    if name in _SWITCHES:
        return _setting(_SWITCHES[name])
    return found[0]


def _setting(text: str) -> str:
    return f'settings=["{text}"]'
