"""Free memory within the limits of a container."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from wsipsm.core.memory import free_memory


@pytest.mark.parametrize(
    ("limit", "used"),
    [("memory.max", "memory.current"), ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes")],
)
def test_the_limit_of_a_control_group_counts(tmp_path: Path, limit: str, used: str) -> None:
    for name, value in ((limit, "5000000"), (used, "3000000")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")

    assert free_memory(tmp_path) == 2_000_000


def test_without_a_limit_it_is_that_of_the_machine(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("max\n")

    assert free_memory(tmp_path) == pytest.approx(psutil.virtual_memory().available, rel=0.2)
