"""The Python interface: what the command line does, as functions.

Nothing here prints, installs signal handlers or exits. Progress goes to ``on_event``; what goes wrong is raised as a
`WsipsmError`. All of it works in scripts, in notebooks and where an event loop runs.
"""

from __future__ import annotations

from wsipsm.api.results import classify, evaluate, report
from wsipsm.api.runs import request_of, run
from wsipsm.api.training import train
from wsipsm.config import Config, load_config
from wsipsm.core.errors import StoppedError, WsipsmError
from wsipsm.core.events import Event
from wsipsm.core.geometry import Box
from wsipsm.engine.cluster.stop import Stop
from wsipsm.results.index.ask import index
from wsipsm.results.result import Result, open_result
from wsipsm.slide import Slide, open_slide
from wsipsm.slide.sample import sample_field

__all__ = [
    "Box",
    "Config",
    "Event",
    "Result",
    "Slide",
    "Stop",
    "StoppedError",
    "WsipsmError",
    "classify",
    "evaluate",
    "index",
    "load_config",
    "open_result",
    "open_slide",
    "report",
    "request_of",
    "run",
    "sample_field",
    "train",
]
