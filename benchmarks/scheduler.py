"""How many tasks a second the stream of a run gives out: ``python -m benchmarks scheduler``.

Tasks that do nothing, through the same bounded stream and the same kind of cluster as those of a run. What it prints is
the number of workers that one scheduler and one client can keep busy, by the seconds that a task takes.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from typing import Any

from wsipsm.config import ScheduleConfig
from wsipsm.engine.cluster import Failure, Task, connect, run_stream

TASK_SECONDS = 0.22
"""What a task on a tile of dense H&E took (benchmarks/README.md): two a tile of 1024 px, 128 in 28 worker seconds."""


class Nothings:
    """So many tasks that do nothing."""

    def __init__(self, count: int) -> None:
        self._left: Iterator[int] = iter(range(count))
        self._to_come = self.count = count
        self.ended = 0

    def next_task(self) -> Task | None:
        """The next one."""
        number = next(self._left, None)
        if number is None:
            return None
        self._to_come -= 1
        return Task(f"nothing-{self.count}-{number}", "operator:index", (number,))

    def last_task(self) -> Task | None:
        """None is the last."""
        return None

    def over(self) -> bool:
        """Whether all are given out."""
        return not self._to_come

    def done(self, task: Task, result: Any) -> None:
        """Count one."""
        self.ended += 1

    def failed(self, task: Task, failure: Failure) -> None:
        """End the benchmark."""
        raise SystemExit(failure.traceback)

    def progress(self, message: dict[str, Any]) -> None:
        """Nothing reports progress."""

    def log(self, text: str) -> None:
        """Print a message."""
        print(text)

    def poll(self) -> None:
        """Nothing is to be kept fresh."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with connect(ScheduleConfig(workers=options.workers)) as pool:
        run_stream(pool, Nothings(50))
        source, start = Nothings(options.tasks), time.perf_counter()
        run_stream(pool, source)
        rate = source.ended / (time.perf_counter() - start)
    print(f"{source.ended} tasks on {options.workers} workers: {rate:.0f} tasks/s")
    print(f"workers that are kept busy by tasks of {TASK_SECONDS} s: about {rate * TASK_SECONDS:.0f}")


if __name__ == "__main__":
    main()
