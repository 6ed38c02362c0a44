"""The process that workers are forked from begins first where a run will need it, and only there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.command import wsipsm
from tests.helpers.slidegen import write_slide
from wsipsm.engine.cluster.fork_server import METHOD

LIKELY = """\
import json, sys, time
from pathlib import Path
import psutil
from wsipsm.engine.early import start_workers_import, started_if_likely

def servers():
    running = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return sum("forkserver" in " ".join(child.cmdline()) for child in running)

def servers_within(seconds, *, wanted):
    end = time.monotonic() + seconds
    while servers() != wanted and time.monotonic() < end:
        time.sleep(0.05)
    return servers()

def seen(slide, out, config="he", settings=(), local=True, used=False, wanted=0):
    with started_if_likely([slide], Path(out), config=config, settings=settings, local=local):
        within = servers_within(10, wanted=wanted)  # a child has its name a moment after it is there
        if used:
            start_workers_import()
    return within, servers_within(10, wanted=0)  # nor does a signal act at once

slide, new = sys.argv[1:]
print(json.dumps([
    seen(slide, slide),
    seen(new, new),
    seen(slide, new, local=False),
    seen(slide, new, config="own.yaml"),
    seen(slide, new, settings=["schedule.processes=false"]),
    "distributed" in sys.modules or "pydantic" in sys.modules,
    seen(slide, new, wanted=1),
    seen(slide, new, used=True, wanted=1),
]))
"""

AGAIN = """\
import sys
import psutil
import wsipsm
(result,) = wsipsm.run(sys.argv[1], sys.argv[2])
print(result.status, "distributed" in sys.modules, len(psutil.Process().children()))
"""


def output_of(script: str, *arguments: Path) -> str:
    """What a script prints in a process of its own."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.mark.skipif(METHOD != "forkserver", reason="workers are spawned on this system")
def test_it_starts_where_it_will_be_needed_and_ends_with_the_run(tmp_path: Path) -> None:
    slide = tmp_path / "slide.svs"
    slide.touch()

    *never, imported, refused, used = json.loads(output_of(LIKELY, slide, tmp_path / "new"))

    assert never == [[0, 0]] * 5
    assert not imported, "nothing that takes time goes before it"
    assert refused == [1, 0]
    assert used == [1, 0]


def test_what_is_done_already_starts_no_process_and_loads_no_dask(tmp_path: Path) -> None:
    slide = write_slide(tmp_path / "white.tiff", np.full((600, 600, 3), 245, np.uint8), mpp=0.5)
    assert wsipsm("run", slide, "-o", tmp_path / "out", "--set", "schedule.processes=false").returncode == 0

    assert output_of(AGAIN, slide, tmp_path / "out").split() == ["empty", "False", "0"]
