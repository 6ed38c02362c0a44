"""Work behind another thread: in order, bounded, and nothing lost where it fails."""

from __future__ import annotations

import threading
from functools import partial

import pytest

from wsipsm.core.behind import Behind


def test_calls_are_made_in_order_by_one_other_thread_until_the_block_ends() -> None:
    made = list[tuple[int, str]]()

    with Behind(most=2) as behind:
        for number in range(50):
            behind.call(lambda n: made.append((n, threading.current_thread().name)), number)

    assert [number for number, _ in made] == list(range(50))
    assert {name for _, name in made} == {"behind_0"}


def test_few_calls_wait() -> None:
    gate, begun = threading.Event(), list[int]()
    most = 3

    def give(behind: Behind) -> None:
        for number in range(10):
            behind.call(gate.wait, 60)
            begun.append(number)

    with Behind(most) as behind:
        giver = threading.Thread(target=partial(give, behind))
        giver.start()
        giver.join(0.5)
        waiting = len(begun)
        gate.set()
        giver.join()

    assert waiting == most
    assert len(begun) == 10


def test_a_failure_is_raised_and_nothing_is_done_after_it() -> None:
    made = list[int]()

    def call(number: int) -> None:
        if number == 2:
            raise OSError("disk full")
        made.append(number)

    def work() -> None:
        with Behind(most=9) as behind:
            for number in range(6):
                behind.call(call, number)

    with pytest.raises(OSError, match="disk full"):
        work()

    assert made == [0, 1]


def test_where_the_block_raises_what_waits_is_not_done() -> None:
    gate, made = threading.Event(), list[int]()

    def work() -> None:
        with Behind(most=9) as behind:
            behind.call(gate.wait, 60)
            behind.call(made.append, 1)
            threading.Timer(0.3, gate.set).start()
            raise ValueError("of the block")

    with pytest.raises(ValueError, match="of the block"):
        work()

    assert made == []
