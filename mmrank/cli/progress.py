"""How far a build is: a bar with rate and time left on a terminal, a line now and then anywhere else. On stderr."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mmrank.cli.output import duration, err, say

if TYPE_CHECKING:
    from mmrank.index.report import Progress

WINDOW = 30.0
"""Seconds the rate is measured over: long enough to be calm, short enough to forget the files a second run skips."""

WARM_UP = 3.0
"""Seconds before a rate is told: the first batches are small and wait for the first pictures to be decoded."""

LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal."""

_STAGES = {"decoding": "reading", "embedding": "embedding", "writing": "writing", "indexing": "finishing"}
_WIDEST = max(map(len, _STAGES.values()))


class Rate:
    """Items a second over the last `WINDOW` seconds.

    >>> rate = Rate(clock=iter([0.0, 4.0]).__next__)
    >>> rate.at(0), rate.at(50)
    (None, 12.5)
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()

    def at(self, done: int) -> float | None:
        """Note that `done` items are finished; the rate, or None while nothing can be said."""
        now = self._clock()
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] < now - WINDOW:
            self._seen.popleft()
        start, first = self._seen[0]
        return (done - first) / (now - start) if done > first and now - start >= WARM_UP else None


class Counting:
    """Counts an iterable in a thread, so that the time left can be told although the items come one by one.

    `total` is None until the count is done. What goes wrong on the way is for the build to report, which reads the
    same items; then there is no total.
    """

    def __init__(self, items: Iterable[object]) -> None:
        self.total: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._count, args=(items,), name="count", daemon=True)
        self._thread.start()

    def _count(self, items: Iterable[object]) -> None:
        count = 0
        try:
            for _ in items:
                if self._stop.is_set():
                    return
                count += 1
        except Exception:  # noqa: BLE001 - the build meets the same trouble and says it; a count is only a comfort
            return
        self.total = count

    def stop(self) -> None:
        """End the count and wait for the item it is at."""
        self._stop.set()
        self._thread.join()


class BuildProgress:
    """What `Index.add(progress=)` calls; shows itself while entered. `items`: counted for the time left."""

    def __init__(self, title: str, items: Iterable[object] | None = None) -> None:
        self._title = title
        self._counting = None if items is None else Counting(items)
        self._rate = Rate()
        self._said = time.perf_counter()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> BuildProgress:
        if err().is_terminal:
            from rich.progress import BarColumn, SpinnerColumn, TextColumn
            from rich.progress import Progress as Bar

            words = "{task.description}", "{task.fields[numbers]}"
            columns = SpinnerColumn(), TextColumn(words[0]), BarColumn(bar_width=24), TextColumn(words[1])
            self._bar = Bar(*columns, console=err(), transient=True)
            self._task = self._bar.add_task(self._title, total=None, numbers="")
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._counting is not None:
            self._counting.stop()

    def __call__(self, progress: Progress) -> None:
        total = progress.total
        if total is None and self._counting is not None:
            total = self._counting.total
        stage = _STAGES.get(progress.stage, progress.stage).ljust(_WIDEST)  # so that the bar stays where it is
        words = numbers(progress.done, total, self._rate.at(progress.done), progress.failed)
        if self._bar is not None:
            self._bar.update(
                self._task, completed=progress.done, total=total, description=f"{self._title}: {stage}", numbers=words
            )
        elif time.perf_counter() - self._said >= LINE_EVERY:
            self._said = time.perf_counter()
            say(f"{self._title}: {words}")


def numbers(done: int, total: int | None, rate: float | None, failed: int) -> str:
    """How far, how fast, how long yet.

    >>> numbers(1200, 5000, 84.6, 0), numbers(3, None, None, 1)
    ('1,200 of 5,000, 85/s, 45 s left', '3, 1 failed')
    """
    parts = [f"{done:,}" if total is None else f"{done:,} of {max(total, done):,}"]
    if rate is not None:
        parts.append(f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
        if total is not None and total > done:
            parts.append(f"{_left((total - done) / rate)} left")
    if failed:
        parts.append(f"{failed:,} failed")
    return ", ".join(parts)


def _left(seconds: float) -> str:
    """Time left in whole seconds: it is an estimate."""
    return f"{math.ceil(seconds)} s" if seconds < 59 else duration(seconds)
