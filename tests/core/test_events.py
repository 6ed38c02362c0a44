"""Events are safe to keep, and observers are called one at a time."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from wsipsm.core.events import Event, SlideState, combine


def test_an_event_does_not_change_with_the_slide() -> None:
    state = SlideState(Path("a.svs"), "a", cells=3)
    event = Event("tile", state)

    state.cells = 5

    assert event.slide is not None
    assert event.slide.cells == 3


def test_every_observer_receives_every_event_in_order() -> None:
    received = list[tuple[str, str]]()
    on_event = combine(
        lambda event: received.append(("first", event.text)), lambda event: received.append(("second", event.text))
    )

    on_event(Event("message", text="a"))
    on_event(Event("message", text="b"))

    assert received == [("first", "a"), ("second", "a"), ("first", "b"), ("second", "b")]


def test_calls_from_several_threads_do_not_overlap() -> None:
    inside, most, seen = [0], [0], list[Event]()

    def observe(event: Event) -> None:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.001)  # lets another thread in, if it can
        seen.append(event)
        inside[0] -= 1

    on_event = combine(observe)
    threads = [threading.Thread(target=lambda: [on_event(Event("message")) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert most == [1]
    assert len(seen) == 80


def test_an_observer_may_send_events_itself() -> None:
    received = list[str]()

    def answer(event: Event) -> None:
        received.append(event.text)
        if event.text == "question":
            on_event(Event("message", text="answer"))

    on_event = combine(answer)
    on_event(Event("message", text="question"))

    assert received == ["question", "answer"]
