"""Rate, time left, and where they are shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from mmrank.cli import progress as module
from mmrank.cli.progress import BuildProgress, Counting, Rate, numbers
from mmrank.index.report import Progress


def test_the_rate_is_of_the_last_seconds_only() -> None:
    times = iter([0.0, 1.0, 40.0, 50.0, 60.0])
    rate = Rate(clock=lambda: next(times))
    rate.at(0)
    rate.at(1000)  # a second run skips a thousand at once
    rate.at(1010)
    rate.at(1020)
    assert rate.at(1030) == pytest.approx(1.0, rel=0.5)


def test_no_rate_before_anything_is_done() -> None:
    times = iter([0.0, 1.0, 2.0, 5.0])
    rate = Rate(clock=lambda: next(times))
    assert rate.at(0) is None
    assert rate.at(0) is None
    assert rate.at(100) is None  # too early to tell
    assert rate.at(150) == 30


def test_words_say_what_is_known_and_no_more() -> None:
    assert numbers(0, None, None, 0) == "0"
    assert numbers(30, 10, 2.5, 0) == "30 of 30, 2.5/s"
    assert numbers(10, 30, 2.0, 3) == "10 of 30, 2.0/s, 10 s left, 3 failed"


def test_counting_gives_the_total_and_stops_when_told() -> None:
    counting = Counting(range(1000))
    counting._thread.join()
    assert counting.total == 1000
    began, go_on = threading.Event(), threading.Event()

    def endless() -> Iterator[int]:
        while True:
            began.set()
            go_on.wait(10)
            yield 1

    stopped = Counting(endless())
    began.wait(10)
    threading.Timer(0.05, go_on.set).start()
    stopped.stop()
    assert stopped.total is None
    assert not stopped._thread.is_alive()


def test_a_count_that_fails_leaves_the_failure_to_the_build() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("unplugged")

    counting = Counting(broken())
    counting._thread.join()
    assert counting.total is None


def test_without_a_terminal_lines_come_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(module.time, "perf_counter", lambda: now[0])
    with BuildProgress("Indexing") as progress:
        for done in range(30):
            now[0] += 1
            progress(Progress(done=done, total=30, stage="embedding", failed=0))
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("Indexing: 9 of 30")
